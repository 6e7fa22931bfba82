//! Declares the keys of `kind = "http"`.

use std::path::PathBuf;
use std::time::Duration;

use super::{HttpConfig, SurgeUrls};
use crate::drivers::kind::{DriverConfig, Kind};
use crate::drivers::looking::{HasLooking, Looking, confirm_key, interval_key, only_with};
use crate::drivers::template::{PlacedTemplates, Scope, Template, both_or_none};
use crate::drivers::{MAX_CONCURRENT, WAIT_DEFAULT, WAIT_MAX_SECONDS};
use crate::keys::{Form, Given, Is, Key, Section, Value};
use crate::net::serve_tls::TlsFiles;
use crate::net::url::{HttpUrl, Scheme};

/// The http driver.
pub const KIND: Kind = Kind {
    name: "http",
    shape: || HTTP.shape(),
    read: |table, templates| {
        let mut keys = Http::default();
        let is_sound = HTTP.read(table, &mut keys).is_sound();
        *templates = keys.templates;
        let surge = keys.create.zip(keys.delete);
        let config = HttpConfig {
            url: keys.url?,
            observe_url: keys.observe_url,
            surge: surge.map(|(create, delete)| SurgeUrls { create, delete }),
            token_file: keys.token_file,
            ca_file: keys.ca_file,
            identity: keys.certificate.zip(keys.key).map(|(certificate, key)| TlsFiles { certificate, key }),
            timeout: keys.timeout,
            max_concurrent: keys.max_concurrent,
            looking: keys.looking,
        };
        is_sound.then(|| DriverConfig::new(config))
    },
};

/// The keys as they are written.
#[derive(Default)]
struct Http {
    url: Option<Template>,
    observe_url: Option<Template>,
    create: Option<Template>,
    delete: Option<Template>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    timeout: Duration,
    max_concurrent: u32,
    looking: Looking,
    templates: PlacedTemplates,
}

impl HasLooking for Http {
    fn looking(&mut self) -> &mut Looking {
        &mut self.looking
    }
}

const HTTP: Section<Http> = Section {
    keys: &[
        Key::<Http>::required(
            "url",
            "\"http://{host}:8080/upgrade/{id}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.url = Some(url(keys, value, Scope::Apply)?);
                    Some(())
                },
            ),
        )
        .bounds("http, https")
        .doc("placeholders as in `command`; values are escaped"),
        Key::<Http>::optional(
            "observeUrl",
            "\"http://{host}:8080/version/{id}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.observe_url = Some(url(keys, value, Scope::Observe)?);
                    Some(())
                },
            ),
        )
        .bounds("http, https")
        .doc(
            "placeholders as in `observe`; 200 with `{\"version\":\"…\"}` is a version, 200 with \
             `{\"version\":null,\"state\":\"absent\"}` says that nothing runs, anything else that nobody can tell",
        ),
        confirm_key(),
        interval_key(),
        Key::<Http>::optional(
            "createUrl",
            "\"http://{host}:8080/create/{id}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.create = Some(url(keys, value, Scope::Create)?);
                    Some(())
                },
            ),
        )
        .bounds("both or none")
        .doc("for `maxSurge`; placeholders as in `create`"),
        Key::<Http>::optional(
            "deleteUrl",
            "\"http://{host}:8080/delete/{id}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.delete = Some(url(keys, value, Scope::Delete)?);
                    Some(())
                },
            ),
        )
        .bounds("both or none")
        .doc("for `maxSurge`; placeholders as in `delete`"),
        Key::<Http>::optional(
            "tokenFile",
            "\"agent.token\"",
            Is::Path(|keys, path| keys.token_file = Some(path)),
        )
        .doc("every request carries `Authorization: Bearer …`; read anew each time"),
        Key::<Http>::optional(
            "caFile",
            "\"/etc/ssl/certs/ca-certificates.crt\"",
            Is::Path(|keys, path| keys.ca_file = Some(path)),
        )
        .bounds("PEM")
        .doc("certificates that are trusted; https needs it, because certificates are always verified here"),
        Key::<Http>::optional(
            "certificate",
            "\"phasegate.pem\"",
            Is::Path(|keys, path| keys.certificate = Some(path)),
        )
        .bounds("PEM; both or none")
        .doc("shown to an agent that asks who the host is; with `caFile`"),
        Key::<Http>::optional("key", "\"phasegate.key\"", Is::Path(|keys, path| keys.key = Some(path)))
            .bounds("PEM; both or none")
            .doc("its key, without a password"),
        Key::<Http>::preset(
            "timeoutInSeconds",
            WAIT_DEFAULT,
            Is::Seconds(0.1, WAIT_MAX_SECONDS, |keys, timeout| keys.timeout = timeout),
        )
        .doc("one operation, tries and polls included"),
        Key::<Http>::preset(
            "maxConcurrent",
            MAX_CONCURRENT,
            Is::Whole(1, 1024, |keys, count| keys.max_concurrent = count),
        )
        .doc("requests at once"),
    ],
    check,
};

fn url(keys: &mut Http, value: &Value<'_>, scope: Scope) -> Option<Template> {
    let text = value.filled()?;
    keys.templates.template(value, text, scope)
}

fn check(keys: &mut Http, given: &mut Given<'_>) {
    both_or_none(given, "createUrl", "deleteUrl");
    only_with("observeUrl", given);
    both_or_none(given, "certificate", "key");
    let Http { url, observe_url, create, delete, ca_file, templates, .. } = keys;
    let refuse = if given.are_sound(&["caFile"]) && ca_file.is_none() { without_trust } else { not_a_url };
    templates.refuse(given.at("url"), url.as_ref(), Scope::Apply, refuse);
    templates.refuse(given.at("observeUrl"), observe_url.as_ref(), Scope::Observe, refuse);
    templates.refuse(given.at("createUrl"), create.as_ref(), Scope::Create, refuse);
    templates.refuse(given.at("deleteUrl"), delete.as_ref(), Scope::Delete, refuse);
}

fn not_a_url(text: &str) -> Option<(String, &'static str)> {
    let error = HttpUrl::parse(text).err()?;
    Some((error.to_string(), "for example http://{host}:8080/upgrade/{id}"))
}

fn without_trust(text: &str) -> Option<(String, &'static str)> {
    let is_https = HttpUrl::parse(text).is_ok_and(|url| url.scheme == Scheme::Https);
    let untrusted = (
        "is https, and nothing says which certificates to trust".to_owned(),
        "add caFile = \"/etc/ssl/certs/ca-certificates.crt\", or that of your own authority",
    );
    not_a_url(text).or(is_https.then_some(untrusted))
}
