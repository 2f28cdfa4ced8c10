//! A reply of HTTP: its head, and the bytes or the part of a file that follow.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

/// A reply.
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The type of its body.
    kind: &'static str,
    /// Further lines of its head.
    lines: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Text(Arc<[u8]>),
    Part(Part),
}

/// A part of a file.
pub(crate) struct Part {
    pub(crate) file: File,
    pub(crate) from: u64,
    pub(crate) length: u64,
    pub(crate) sent: Box<dyn Sent>,
}

/// Who is told how a file goes out.
pub(crate) trait Sent: Send {
    /// The last bytes of the part are about to be sent; if false they are not, and the connection ends.
    fn last(&mut self) -> bool;
    /// These bytes have been sent.
    fn passed(&mut self, bytes: u64);
}

impl Reply {
    pub(crate) fn refused(status: u16, why: &str) -> Reply {
        Reply::text(status, format!("{why}\n").into_bytes().into())
    }

    pub(crate) const fn text(status: u16, body: Arc<[u8]>) -> Reply {
        Reply { status, kind: "text/plain", lines: Vec::new(), body: Body::Text(body) }
    }

    pub(crate) const fn part(status: u16, kind: &'static str, part: Part) -> Reply {
        Reply { status, kind, lines: Vec::new(), body: Body::Part(part) }
    }

    /// With a further line of its head.
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Reply {
        self.lines.push((name, value));
        self
    }

    /// Its bytes, if it is no part of a file.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Text(bytes) => bytes,
            Body::Part(_) => b"",
        }
    }

    /// Its head.
    pub(crate) fn head(&self, stays: bool) -> String {
        let words = match self.status {
            200 => "OK",
            206 => "Partial Content",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            416 => "Range Not Satisfiable",
            421 => "Misdirected Request",
            431 => "Request Header Fields Too Large",
            _ => "Internal Server Error",
        };
        let length = match &self.body {
            Body::Text(bytes) => bytes.len() as u64,
            Body::Part(part) => part.length,
        };
        let mut head = format!(
            "HTTP/1.1 {} {words}\r\nContent-Type: {}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n",
            self.status, self.kind
        );
        for (name, value) in &self.lines {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str(if stays { "\r\n" } else { "Connection: close\r\n\r\n" });
        head
    }
}
