//! Requests and replies of Redis, in the second version of its protocol (RESP2), which every version of Redis and
//! Valkey speaks unless it is asked for another.
//!
//! The crate `redis` is not used: its connections have a timeout for each read and none for a call, and read a value of
//! any size.

use std::io::{self, BufRead, ErrorKind, Read as _, Write};

/// The longest first line of a reply.
const MOST_OF_LINE: u64 = 4096;
/// Requests up to this size are written at once.
const SMALL: usize = 64 * 1024;
/// Memory that is reserved because a server says that so much will come.
const RESERVED: u64 = 1024 * 1024;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// `+OK`
    Status(String),
    /// `-ERR …`
    Refused(String),
    /// `:1`
    Number(i64),
    /// `$5`
    Bulk(Vec<u8>),
    /// `$-1`
    Missing,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum ReplyError {
    Io(io::Error),
    /// It breaks the protocol.
    Malformed(String),
    /// A value of this many bytes is announced.
    TooLarge(u64),
}

impl From<io::Error> for ReplyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes a command with its arguments.
pub(super) fn write_request(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let mut pending = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        pending.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        if part.len() > SMALL {
            to.write_all(&pending)?;
            to.write_all(part)?;
            pending.clear();
        } else {
            pending.extend_from_slice(part);
        }
        pending.extend_from_slice(b"\r\n");
    }
    to.write_all(&pending)?;
    to.flush()
}

/// Reads one reply. A value of more than `most` bytes is left unread.
pub(super) fn read_reply(from: &mut impl BufRead, most: u64) -> Result<Reply, ReplyError> {
    let line = read_line(from)?;
    let malformed = || ReplyError::Malformed(format!("not a reply of Redis: {line:?}"));
    let mut characters = line.chars();
    let kind = characters.next().ok_or_else(malformed)?;
    let rest = characters.as_str();
    match kind {
        '+' => Ok(Reply::Status(rest.to_owned())),
        '-' => Ok(Reply::Refused(rest.to_owned())),
        ':' => rest
            .parse()
            .map(Reply::Number)
            .map_err(|_| ReplyError::Malformed(format!("not a number: {rest:?}"))),
        '$' if rest == "-1" => Ok(Reply::Missing),
        '$' => {
            let size = rest.parse().map_err(|_| malformed())?;
            if size > most {
                return Err(ReplyError::TooLarge(size));
            }
            read_bulk(from, size).map(Reply::Bulk)
        }
        _ => Err(malformed()),
    }
}

/// A line without its end, as text.
fn read_line(from: &mut impl BufRead) -> Result<String, ReplyError> {
    let mut line = Vec::new();
    from.take(MOST_OF_LINE).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if line.len() as u64 == MOST_OF_LINE || line.ends_with(b"\n") => {
            let start = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
            Err(ReplyError::Malformed(format!(
                "not a reply of Redis: {start:?}"
            )))
        }
        None => Err(ended()),
    }
}

fn read_bulk(from: &mut impl BufRead, size: u64) -> Result<Vec<u8>, ReplyError> {
    let mut value = Vec::with_capacity(size.min(RESERVED) as usize);
    from.take(size).read_to_end(&mut value)?;
    let mut end = [0; 2];
    from.read_exact(&mut end)?;
    match &end {
        b"\r\n" => Ok(value),
        _ => Err(ReplyError::Malformed(
            "a value is longer than announced".to_owned(),
        )),
    }
}

fn ended() -> ReplyError {
    io::Error::from(ErrorKind::UnexpectedEof).into()
}

#[cfg(test)]
mod tests {
    use super::{Reply, ReplyError, read_reply, write_request};
    use proptest::prelude::{any, proptest};

    fn read(mut bytes: &[u8]) -> Result<Reply, String> {
        read_reply(&mut bytes, 10).map_err(|error| match error {
            ReplyError::Io(error) => format!("io: {:?}", error.kind()),
            ReplyError::Malformed(_) => "malformed".to_owned(),
            ReplyError::TooLarge(size) => format!("too large: {size}"),
        })
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        assert_eq!(read(b"+OK\r\n"), Ok(Reply::Status("OK".to_owned())));
        assert_eq!(
            read(b"-ERR no\r\n"),
            Ok(Reply::Refused("ERR no".to_owned()))
        );
        assert_eq!(read(b":-7\r\n"), Ok(Reply::Number(-7)));
        assert_eq!(read(b"$-1\r\n"), Ok(Reply::Missing));
        assert_eq!(read(b"$0\r\n\r\n"), Ok(Reply::Bulk(Vec::new())));
        assert_eq!(
            read(b"$4\r\na\r\nb\r\n"),
            Ok(Reply::Bulk(b"a\r\nb".to_vec()))
        );
    }

    #[test]
    fn replies_that_break_the_protocol_are_told_from_those_that_end() {
        for ended in ["", "+O", "$3\r\n", "$3\r\nabc", "$3\r\nabc\r", "$3\r\nab\r"] {
            assert_eq!(
                read(ended.as_bytes()),
                Err("io: UnexpectedEof".to_owned()),
                "{ended:?}"
            );
        }
        for text in [
            "\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "*1\r\n:1\r\n",
            "$x\r\n",
            "$-2\r\n",
            ":\r\n",
            "+OK\n",
            "$3\r\nabcd\r\n",
            "$99999999999999999999999\r\n",
        ] {
            assert_eq!(
                read(text.as_bytes()),
                Err("malformed".to_owned()),
                "{text:?}"
            );
        }
        assert_eq!(read(&[b'+'; 5000]), Err("malformed".to_owned()));
        assert_eq!(read(b"$11\r\n"), Err("too large: 11".to_owned()));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_read_without_a_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }

        #[test]
        fn requests_hold_their_parts_in_the_form_of_values(parts in any::<Vec<Vec<u8>>>()) {
            let mut written = Vec::new();
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            write_request(&mut written, &slices).unwrap();
            let head = format!("*{}\r\n", parts.len());
            let mut rest = written.strip_prefix(head.as_bytes()).unwrap();
            for part in parts {
                assert_eq!(read_reply(&mut rest, u64::MAX).unwrap(), Reply::Bulk(part));
            }
            assert!(rest.is_empty());
        }
    }
}
