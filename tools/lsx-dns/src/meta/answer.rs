//! The reply to one request. Pure.

use super::own::Server;
use super::request::Request;
use super::tokens::LONGEST;
use super::{lxd, nocloud, tree};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The names by which the service may be asked. A page in somebody's browser asks by a name of its own.
const HOSTS: [&str; 4] = ["169.254.169.254", "169.254.169.254:80", "instance-data", "lxd"];
/// The header of a token's time.
const TTL: &str = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";

/// A reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Arc<[u8]>,
    /// A further header.
    header: Option<(&'static str, String)>,
}

impl Reply {
    pub(super) fn refused(status: u16, why: &str) -> Reply {
        Reply { status, body: format!("{why}\n").into_bytes().into(), header: None }
    }

    const fn found(body: Arc<[u8]>) -> Reply {
        Reply { status: 200, body, header: None }
    }

    /// Its head.
    pub(super) fn head(&self, stays: bool) -> String {
        let words = match self.status {
            200 => "OK",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            421 => "Misdirected Request",
            _ => "Request Header Fields Too Large",
        };
        let allow = if self.status == 405 { "Allow: GET, HEAD, PUT\r\n" } else { "" };
        let header =
            self.header.as_ref().map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let close = if stays { "" } else { "Connection: close\r\n" };
        format!(
            "HTTP/1.1 {} {words}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}{header}{close}\r\n",
            self.status,
            self.body.len()
        )
    }
}

/// The reply to a source, some seconds after the server began.
pub(super) fn to(server: &Server, source: Ipv4Addr, request: &Request, now: u64) -> Reply {
    if request.forwarded {
        return Reply::refused(403, "requests that came through a proxy are refused");
    }
    if request.host.as_deref().is_some_and(|host| !HOSTS.contains(&host)) {
        return Reply::refused(421, "ask http://169.254.169.254/");
    }
    let Some(own) = server.own(source) else {
        return Reply::refused(404, "this address belongs to no instance that may ask");
    };
    let parts = request.parts();
    match request.method.as_str() {
        "PUT" if parts == ["latest", "api", "token"] => return token(server, source, request, now),
        "GET" | "HEAD" => {}
        _ => return Reply::refused(405, "only GET, HEAD, and PUT of /latest/api/token"),
    }
    let holds = request.token.as_ref().map(|token| server.tokens.holds(source, token, now));
    if !holds.unwrap_or(!server.required) {
        return Reply::refused(401, "get a token first: PUT /latest/api/token");
    }
    let found = match parts.as_slice() {
        [lxd::VERSION, rest @ ..] => lxd::get(&own, rest),
        ["nocloud", rest @ ..] => nocloud::get(&own, rest),
        all => tree::get(&own, all),
    };
    found.map_or_else(|| Reply::refused(404, "not found"), Reply::found)
}

fn token(server: &Server, source: Ipv4Addr, request: &Request, now: u64) -> Reply {
    let ttl = request.ttl.as_deref().and_then(|ttl| std::str::from_utf8(ttl).ok()?.parse::<u64>().ok());
    match ttl.filter(|ttl| (1..=LONGEST).contains(ttl)) {
        None => Reply::refused(400, &format!("{TTL} is a number from 1 to {LONGEST}")),
        Some(ttl) => {
            let token = server.tokens.make(source, now.saturating_add(ttl));
            let header = Some((TTL, ttl.to_string()));
            Reply { header, ..Reply::found(token.into_bytes().into()) }
        }
    }
}

#[cfg(test)]
mod tests;
