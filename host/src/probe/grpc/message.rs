//! The two messages of the health service, and the frame that gRPC puts round each: bytes in, values out.
//!
//! Two fields need no library. What is unknown is passed over, as protobuf wants it, and nothing is read beyond
//! the end.

/// Bytes of a frame before its message: a flag and the length.
const PREFIX: usize = 5;

/// Most bytes of a varint.
const VARINT_MAX: usize = 10;

/// `HealthCheckResponse.ServingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
    /// None of those that there are today.
    Other(u64),
}

/// Why bytes are no answer of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("no message although grpc-status is 0")]
    Missing,
    #[error("a compressed message (grpc-encoding `{0}`), which was not asked for")]
    Compressed(String),
    #[error("a message with the flag {0}, where gRPC knows 0 and 1")]
    Flag(u8),
    #[error("a message of {length} bytes of which {there} came")]
    Cut { length: u32, there: usize },
    #[error("{0} bytes behind the one message that a call is answered with")]
    Trailing(usize),
    #[error("a message that is no HealthCheckResponse: {0}")]
    Malformed(&'static str),
}

/// `HealthCheckRequest`, in its frame.
pub(super) fn frame(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of the kind that says its length.
        message.push(0x0a);
        put_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend(message);
    frame
}

fn put_varint(to: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            to.push(low);
            return;
        }
        to.push(low | 0x80);
    }
}

/// The one message of an answer. `compression` is what the answer says of it.
pub(super) fn read(body: &[u8], compression: &str) -> Result<Status, MessageError> {
    if body.is_empty() {
        return Err(MessageError::Missing);
    }
    let (flag, length) = match body.first_chunk::<PREFIX>() {
        Some([flag, a, b, c, d]) => (*flag, u32::from_be_bytes([*a, *b, *c, *d])),
        None => return Err(MessageError::Malformed("it is cut within its length")),
    };
    match flag {
        0 => {}
        1 => return Err(MessageError::Compressed(compression.chars().take(40).collect())),
        flag => return Err(MessageError::Flag(flag)),
    }
    let there = body.get(PREFIX..).unwrap_or_default();
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    let Some(message) = there.get(..wanted) else {
        return Err(MessageError::Cut { length, there: there.len() });
    };
    match there.len() - message.len() {
        0 => decode(message),
        behind => Err(MessageError::Trailing(behind)),
    }
}

fn decode(mut rest: &[u8]) -> Result<Status, MessageError> {
    // What is not there has the value zero.
    let mut status = Status::Unknown;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (0, _) => return Err(MessageError::Malformed("a field has the number 0")),
            (1, 0) => status = of_number(varint(&mut rest)?),
            (_, 0) => _ = varint(&mut rest)?,
            (_, 1) => skip(&mut rest, 8)?,
            (_, 2) => {
                let length = varint(&mut rest)?;
                skip(&mut rest, usize::try_from(length).unwrap_or(usize::MAX))?;
            }
            (_, 5) => skip(&mut rest, 4)?,
            (_, _) => return Err(MessageError::Malformed("a field is of no known kind")),
        }
    }
    Ok(status)
}

fn of_number(number: u64) -> Status {
    match number {
        0 => Status::Unknown,
        1 => Status::Serving,
        2 => Status::NotServing,
        3 => Status::ServiceUnknown,
        other => Status::Other(other),
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, MessageError> {
    let mut value = 0_u64;
    for place in 0..VARINT_MAX {
        let Some((byte, behind)) = rest.split_first() else {
            return Err(MessageError::Malformed("it is cut within a number"));
        };
        *rest = behind;
        // The bits of the last byte beyond 64 are dropped, as protobuf does.
        value |=
            u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * place).unwrap_or(u32::MAX)).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MessageError::Malformed("a number has more than ten bytes"))
}

fn skip(rest: &mut &[u8], length: usize) -> Result<(), MessageError> {
    *rest = rest.get(length..).ok_or(MessageError::Malformed("a field is longer than the message"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &[u8]) -> Vec<u8> {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        body
    }

    #[test]
    fn the_request_names_the_service() {
        assert_eq!(frame(""), [0, 0, 0, 0, 0]);
        assert_eq!(frame("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = frame(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
        assert_eq!(long.len(), 5 + 3 + 300);
    }

    #[test]
    fn answers_are_read() {
        for (message, expected) in [
            (&[][..], Status::Unknown),
            (&[0x08, 0], Status::Unknown),
            (&[0x08, 1], Status::Serving),
            (&[0x08, 2], Status::NotServing),
            (&[0x08, 3], Status::ServiceUnknown),
            (&[0x08, 0x84, 1], Status::Other(132)),
            // The last one counts; others are passed over, whatever their kind.
            (&[0x08, 2, 0x08, 1], Status::Serving),
            (
                &[0x12, 2, 9, 9, 0x08, 1, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x28, 7],
                Status::Serving,
            ),
            // A number of ten bytes is one.
            (&[0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], Status::Serving),
        ] {
            assert_eq!(read(&answer(message), "?"), Ok(expected), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let compressed = [1, 0, 0, 0, 0];
        for (body, expected) in [
            (vec![], "no message although grpc-status is 0"),
            (vec![0, 0, 0], "a message that is no HealthCheckResponse: it is cut within its length"),
            (compressed.to_vec(), "a compressed message (grpc-encoding `gzip`), which was not asked for"),
            (vec![7, 0, 0, 0, 0], "a message with the flag 7, where gRPC knows 0 and 1"),
            (vec![0, 0xff, 0xff, 0xff, 0xff, 1], "a message of 4294967295 bytes of which 1 came"),
            ([answer(&[0x08, 1]), answer(&[])].concat(), "5 bytes behind the one message"),
            (answer(&[0x08]), "it is cut within a number"),
            (answer(&[0x00, 1]), "a field has the number 0"),
            (answer(&[0x0b]), "a field is of no known kind"),
            (answer(&[0x12, 9, 1]), "a field is longer than the message"),
            (answer(&[0xff; 11]), "a number has more than ten bytes"),
            (
                answer(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
                "a field is longer than the message",
            ),
        ] {
            let seen = read(&body, "gzip").unwrap_err().to_string();
            assert!(seen.contains(expected), "{body:?}: {seen}");
        }
    }
}
