//! The keys of one source, each with its bounds.
//!
//! What they say together is checked where they are put together.

use super::{Protocol, SourceKeys};
use crate::config::health::TIMEOUT;
use crate::config::health::request::{header_names, request_headers};
use crate::keys::{Form, Is, Key, Section, Value};

/// Longest name.
const NAME_MAX: usize = 64;

/// Longest text of a dialogue or of a body, in bytes.
const TEXT_MAX: usize = 16 * 1024;

/// Most turns of a dialogue, and words of a command.
const TURNS_MAX: usize = 16;
const WORDS_MAX: usize = 64;

/// Letters, digits and `._-`.
fn name(keys: &mut SourceKeys, value: &Value<'_>) -> Option<()> {
    let text = value.filled()?;
    let is_held = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.len() > NAME_MAX || !text.chars().all(is_held) {
        let hint = format!("letters, digits and ._-, at most {NAME_MAX}");
        value.problem(format!("is {text:?}, which is no name of a source"), hint);
        return None;
    }
    keys.name = Some(text.to_owned());
    Some(())
}

/// One text, or several, none of them empty.
fn texts(value: &Value<'_>) -> Option<Vec<String>> {
    if value.raw.as_str().is_some() {
        return Some(vec![bounded(value)?.to_owned()]);
    }
    let values = value.array("a string or an array of strings")?;
    if values.is_empty() || values.len() > TURNS_MAX {
        value.problem(format!("has {} texts", values.len()), format!("1 to {TURNS_MAX}"));
        return None;
    }
    values.iter().map(|text| bounded(text).map(str::to_owned)).collect()
}

fn bounded<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.filled()?;
    if text.len() > TEXT_MAX {
        value.problem(format!("is {} bytes long", text.len()), format!("at most {TEXT_MAX}"));
        return None;
    }
    Some(text)
}

fn command(keys: &mut SourceKeys, value: &Value<'_>) -> Option<()> {
    let values = value.array("an array of strings")?;
    if values.is_empty() || values.len() > WORDS_MAX {
        value.problem(format!("has {} words", values.len()), format!("1 to {WORDS_MAX}"));
        return None;
    }
    for word in &values {
        let text = word.string()?;
        if text.contains('\0') {
            word.problem("holds a NUL".to_owned(), None);
            return None;
        }
        keys.command.push(text.to_owned());
    }
    let program = keys.command.first().map(String::as_str).unwrap_or_default();
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        let message = format!("begins with {program:?}, and a source runs at /");
        value.problem(message, "write a whole path, or a name that is found in PATH".to_owned());
        return None;
    }
    Some(())
}

fn environment(keys: &mut SourceKeys, value: &Value<'_>) -> Option<()> {
    for entry in value.table()?.into_entries() {
        let text = entry.string()?;
        if entry.name.is_empty() || entry.name.contains(['=', '\0']) || text.contains('\0') {
            entry.problem("is no variable of an environment".to_owned(), None);
            return None;
        }
        keys.environment.insert(entry.name.to_owned(), text.to_owned());
    }
    Some(())
}

/// A host, which may hold what stands for something of the instance.
fn host(value: &Value<'_>) -> Option<String> {
    let text = value.filled()?;
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        value.problem(
            format!("is {text:?}, which is no host"),
            "write a name or an address, without a port".to_owned(),
        );
        return None;
    }
    Some(text.to_owned())
}

pub(super) const SOURCE: Section<SourceKeys> = Section {
    keys: &[
        Key::<SourceKeys>::optional("name", "\"metrics\"", Is::Own(|| Form::Text, name))
            .without("`health` for the first")
            .bounds("letters, digits, `._-`; `health` only first")
            .doc("by which the plugin knows its answer; a first one that is called `health` stands in the place of the \
                  probe above"),
        Key::<SourceKeys>::preset(
            "protocol",
            "\"http\"",
            Is::Word(&[
                ("http", |keys| keys.protocol = Protocol::Http),
                ("https", |keys| keys.protocol = Protocol::Https),
                ("tcp", |keys| keys.protocol = Protocol::Tcp),
                ("exec", |keys| keys.protocol = Protocol::Exec),
            ]),
        )
        .doc("`exec` runs a program on the host; certificates of https are verified"),
        Key::<SourceKeys>::optional(
            "host",
            "\"{label.exporter}\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.host = Some(self::host(value)?);
                    Some(())
                },
            ),
        )
        .without("that of the address")
        .doc("where it is asked"),
        Key::<SourceKeys>::optional(
            "port",
            "6379",
            Is::Whole(1, 65_535, |keys, port| keys.port = u16::try_from(port).ok()),
        )
        .without("that of the address")
        .doc("where it is asked"),
        Key::<SourceKeys>::preset(
            "method",
            "\"GET\"",
            Is::Word(&[
                ("GET", |keys| keys.method = "GET"),
                ("POST", |keys| keys.method = "POST"),
                ("PUT", |keys| keys.method = "PUT"),
            ]),
        )
        .doc("of the request"),
        Key::<SourceKeys>::optional(
            "requestPath",
            "\"/metrics\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.path = value.string()?.to_owned();
                    Some(())
                },
            ),
        )
        .without("`/`")
        .doc("path and query; redirects are not followed"),
        Key::<SourceKeys>::optional(
            "requestHeaders",
            "{ Host = \"db.example.com\" }",
            Is::Own(
                || Form::Named(Box::new(Form::Text)),
                |keys, value| {
                    keys.request_headers = request_headers(value)?;
                    Some(())
                },
            ),
        )
        .bounds("at most 32, 8 KiB together")
        .doc("headers that are sent; the certificate must be for the `Host` that is written, unless `serverName` is"),
        Key::<SourceKeys>::optional(
            "body",
            "'{\"query\": 1}'",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.body = bounded(value)?.to_owned();
                    Some(())
                },
            ),
        )
        .bounds("at most 16 KiB")
        .doc("what is sent"),
        Key::<SourceKeys>::optional(
            "responseHeaders",
            "[\"x-role\"]",
            Is::Own(
                || Form::List(Box::new(Form::Text)),
                |keys, value| {
                    keys.headers = header_names(value)?;
                    Some(())
                },
            ),
        )
        .bounds("at most 32")
        .doc("headers that the plugin gets to see"),
        Key::<SourceKeys>::optional(
            "tokenFile",
            "\"kubelet.token\"",
            Is::Path(|keys, path| keys.token = Some(path)),
        )
        .bounds("one line")
        .doc(
            "sent as `Authorization: Bearer …`, or as it stands where it has a blank, as `ApiKey …` has; `{token}` in \
             `send`. Read anew each time",
        ),
        Key::<SourceKeys>::optional(
            "usernameFile",
            "\"monitor.user\"",
            Is::Path(|keys, path| keys.username = Some(path)),
        )
        .bounds("one line; with `passwordFile`")
        .doc("sent as `Authorization: Basic …`; `{username}` in `send`"),
        Key::<SourceKeys>::optional(
            "passwordFile",
            "\"monitor.password\"",
            Is::Path(|keys, path| keys.password = Some(path)),
        )
        .bounds("one line; with `usernameFile`, with tcp also alone")
        .doc("the password to it; `{password}` in `send`"),
        Key::<SourceKeys>::optional(
            "caFile",
            "\"/etc/phasegate/ca.pem\"",
            Is::Path(|keys, path| keys.ca_file = Some(path)),
        )
        .without("the authorities of the web")
        .bounds("PEM")
        .doc("authorities that are trusted, and no others"),
        Key::<SourceKeys>::optional(
            "serverName",
            "\"db.example.com\"",
            Is::Own(
                || Form::Text,
                |keys, value| {
                    keys.server_name = Some(self::host(value)?);
                    Some(())
                },
            ),
        )
        .without("the host of the request")
        .doc("name that is asked for (SNI), and for which the certificate must be"),
        Key::<SourceKeys>::optional(
            "send",
            "[\"AUTH {password}\\r\\n\", \"INFO replication\\r\\nQUIT\\r\\n\"]",
            Is::Own(
                || Form::Either(vec![Form::Text, Form::List(Box::new(Form::Text))]),
                |keys, value| {
                    keys.send = texts(value)?;
                    Some(())
                },
            ),
        )
        .bounds("1 to 16 texts")
        .doc("what is sent, by turns with `expect`"),
        Key::<SourceKeys>::optional(
            "expect",
            "[\"+OK\\r\\n\"]",
            Is::Own(
                || Form::Either(vec![Form::Text, Form::List(Box::new(Form::Text))]),
                |keys, value| {
                    keys.expect = texts(value)?;
                    Some(())
                },
            ),
        )
        .bounds("1 to 16 texts")
        .doc(
            "what is read up to, by turns; without one for the last turn up to the close. A connection that is closed \
             before that is no answer. The answer is what came in the last turn",
        ),
        Key::<SourceKeys>::optional(
            "command",
            "[\"psql\", \"-At\", \"-h\", \"{host}\", \"-c\", \"select pg_is_in_recovery()\"]",
            Is::Own(|| Form::List(Box::new(Form::Text)), command),
        )
        .bounds("1 to 64 words")
        .doc("program and arguments; no shell"),
        Key::<SourceKeys>::optional(
            "environment",
            "{ PGPASSFILE = \"/etc/phasegate/pgpass\" }",
            Is::Own(|| Form::Named(Box::new(Form::Text)), environment),
        )
        .doc("all that the program finds in its environment, beside a plain `PATH`"),
        Key::<SourceKeys>::optional(
            "timeoutInSeconds",
            "2",
            Is::Seconds(TIMEOUT.0, TIMEOUT.1, |keys, timeout| keys.timeout = Some(timeout)),
        )
        .without("that of the probe")
        .bounds("at most that of the probe")
        .doc("all of it together"),
        Key::<SourceKeys>::preset(
            "maxBodyBytes",
            "65536",
            Is::Whole(1, 1_048_576, |keys, max| keys.body_max = max),
        )
        .doc("a longer answer is none; a program that prints more is ended"),
    ],
    check: super::check,
};
