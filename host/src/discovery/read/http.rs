//! One GET of a list of targets, on one new connection.

use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Uri};

use super::{BYTES_MAX, ReadSourceError, credentials};
use crate::discovery::HttpSource;
use crate::net::dial::dial;
use crate::net::exchange::{Answer, ExchangeError, ResponseError, exchange};
use crate::net::text::{io_text, one_line};
use crate::net::tls::VerifiedTls;
use crate::net::url::Scheme;

const USER_AGENT_TEXT: &str = concat!("phasegate/", env!("CARGO_PKG_VERSION"));

/// Asks once; gives the body of an answer with status 200.
pub(super) async fn get(source: &HttpSource) -> Result<Vec<u8>, ReadSourceError> {
    let address = &source.url.address;
    let request = request(source).await?;
    let broken = |error: &std::io::Error| ReadSourceError::Broken(one_line(&io_text(error)));
    let tls = match source.url.scheme {
        Scheme::Http => None,
        Scheme::Https => Some(VerifiedTls::web(source.ca_file.as_deref())?),
    };
    let stream = dial(address).await.map_err(|error| broken(&error))?;
    // The request follows as a second small write, which must not wait.
    _ = stream.set_nodelay(true);
    let answer = match tls {
        None => exchange(stream, request, BYTES_MAX).await,
        Some(tls) => {
            let secure = tls.handshake(address, stream).await;
            let secure = secure.map_err(|error| {
                ReadSourceError::Broken(one_line(&format!("no secure connection: {}", io_text(&error))))
            })?;
            exchange(secure, request, BYTES_MAX).await
        }
    };
    let Answer { status, body, .. } = answer.map_err(|error| match error {
        ExchangeError::Io(error) => broken(&error),
        ExchangeError::Response(ResponseError::BodyTooLarge(_)) => ReadSourceError::TooLarge,
        ExchangeError::Response(ResponseError::Status(status)) => ReadSourceError::Status { status },
        ExchangeError::Response(error) => ReadSourceError::Broken(one_line(&error.to_string())),
    })?;
    if status == 200 { Ok(body) } else { Err(ReadSourceError::Status { status }) }
}

async fn request(source: &HttpSource) -> Result<Request<Bytes>, ReadSourceError> {
    let HttpSource { url, headers: said, credentials, ca_file: _ } = source;
    let unusable = |what: &str| ReadSourceError::Broken(format!("its {what} cannot be sent"));
    let default_port = match url.scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    };
    let address = &url.address;
    let host = if address.port == default_port { address.url_host() } else { address.to_string() };
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() =
        Uri::from(PathAndQuery::try_from(url.target.as_str()).map_err(|_| unusable("path"))?);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(host).map_err(|_| unusable("host"))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_TEXT));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in said {
        let name = HeaderName::try_from(name).map_err(|_| unusable("header"))?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| unusable("header"))?);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(credentials) = credentials.clone() {
        let value = tokio::task::spawn_blocking(move || credentials::read(&credentials)).await;
        let value = value.map_err(|error| ReadSourceError::Ended(error.to_string()))??;
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}
