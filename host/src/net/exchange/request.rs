//! The bytes of a request's head.

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_LENGTH;

/// Line and headers; the length is added where there is a body. Names are written as people write them: small
/// servers have been seen that look for `Host` to the letter.
pub(super) fn head(request: &Request<Bytes>) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method()).into_bytes();
    for (name, value) in request.headers() {
        header(&mut head, name.as_str(), value.as_bytes());
    }
    if !request.body().is_empty() && !request.headers().contains_key(CONTENT_LENGTH) {
        header(&mut head, CONTENT_LENGTH.as_str(), request.body().len().to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

fn header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    let mut first = true;
    for byte in name.bytes() {
        head.push(if first { byte.to_ascii_uppercase() } else { byte });
        first = byte == b'-';
    }
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_people_write_it() {
        let get = Request::get("/a?b=c").header("host", "h:1").header("user-agent", "x").body(Bytes::new());
        assert_eq!(head(&get.unwrap()), b"GET /a?b=c HTTP/1.1\r\nHost: h:1\r\nUser-Agent: x\r\n\r\n");
        let post = Request::post("http://ignored/").body(Bytes::from_static(b"abc")).unwrap();
        assert_eq!(head(&post), b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n");
    }
}
