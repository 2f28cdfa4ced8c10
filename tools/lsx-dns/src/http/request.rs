//! One request of HTTP/1: its head, of limited size. No request has a body. Pure.

use std::str;

/// The longest head of a request in bytes, and the most lines of it.
pub(super) const HEAD: usize = 8 * 1024;
const LINES: usize = 64;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) host: Option<String>,
    /// Whether it says that it came through a proxy.
    pub(crate) forwarded: bool,
    /// Its other lines, with names in lower case.
    lines: Vec<(String, Vec<u8>)>,
    /// Whether the connection stays.
    pub(crate) stays: bool,
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// More bytes are needed.
    Part,
    /// A request, and its length.
    Whole(Request, usize),
    /// No request: the status of the reply.
    Wrong(u16),
}

/// Reads the head of a request.
pub(crate) fn read(bytes: &[u8]) -> Read {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut head = httparse::Request::new(&mut lines);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Read::Part,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Read::Wrong(431),
        Err(_) => return Read::Wrong(400),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Read::Wrong(400);
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        host: None,
        forwarded: false,
        lines: Vec::new(),
        stays: version == 1,
    };
    for line in head.headers.iter() {
        let value = line.value.trim_ascii();
        match line.name.to_ascii_lowercase().as_str() {
            // Two of them would be two opinions about who is asked.
            "host" if request.host.is_some() => return Read::Wrong(400),
            "host" => request.host = Some(String::from_utf8_lossy(value).to_ascii_lowercase()),
            "x-forwarded-for" | "forwarded" => request.forwarded = true,
            "connection" => request.stays &= !says(value, "close"),
            "content-length" if value != b"0" => return Read::Wrong(413),
            "transfer-encoding" => return Read::Wrong(413),
            name => request.lines.push((name.to_owned(), value.to_vec())),
        }
    }
    Read::Whole(request, length)
}

fn says(value: &[u8], word: &str) -> bool {
    let text = str::from_utf8(value).unwrap_or_default();
    text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
}

impl Request {
    /// The value of a line by its name in lower case; of several the first one.
    pub(crate) fn line(&self, name: &str) -> Option<&[u8]> {
        self.lines.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// The parts of the path, without the query.
    pub(crate) fn parts(&self) -> Vec<&str> {
        let path = self.target.split(['?', '#']).next().unwrap_or_default();
        path.split('/').filter(|part| !part.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Request {
        match read(text.as_bytes()) {
            Read::Whole(request, length) if length == text.len() => request,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_its_head() {
        let request =
            whole("GET //latest/meta-data/?x=/y HTTP/1.1\r\nHost: A\r\nX-aws-ec2-metadata-token: t \r\n\r\n");
        assert_eq!(request.parts(), ["latest", "meta-data"]);
        assert_eq!(
            (request.host.as_deref(), request.line("x-aws-ec2-metadata-token")),
            (Some("a"), Some(&b"t"[..]))
        );
        assert!(request.stays && !request.forwarded);
        assert!(!whole("GET / HTTP/1.0\r\n\r\n").stays);
        assert!(!whole("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n").stays);
        assert!(whole("GET / HTTP/1.1\r\nX-FORWARDED-FOR: 10.0.0.2\r\n\r\n").forwarded);
        assert!(whole("PUT /latest/api/token HTTP/1.1\r\nContent-Length: 0\r\n\r\n").line("x").is_none());
    }

    #[test]
    fn other_bytes_are_refused_or_waited_for_up_to_a_limit() {
        assert_eq!(read(b""), Read::Part);
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: a\r\n"), Read::Part);
        for (text, status) in [
            ("\0\x01\x02\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 413),
            ("PUT / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        ] {
            assert_eq!(read(text.as_bytes()), Read::Wrong(status), "{text:?}");
        }
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD));
        assert_eq!(read(long.as_bytes()), Read::Wrong(431));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(LINES + 1));
        assert_eq!(read(many.as_bytes()), Read::Wrong(431));
    }
}
