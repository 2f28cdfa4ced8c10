//! The reply to one request. Pure.

use super::own::Server;
use super::tokens::LONGEST;
use super::{lxd, nocloud, tree};
use crate::http::{Reply, Request};
use std::net::Ipv4Addr;

/// The names by which the service may be asked. A page in somebody's browser asks by a name of its own.
const HOSTS: [&str; 4] = ["169.254.169.254", "169.254.169.254:80", "instance-data", "lxd"];
/// The header of a token's time.
const TTL: &str = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds";

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
        _ => {
            let reply = Reply::refused(405, "only GET, HEAD, and PUT of /latest/api/token");
            return reply.with("Allow", "GET, HEAD, PUT".to_owned());
        }
    }
    let token = request.line("x-aws-ec2-metadata-token");
    let holds = token.map(|token| server.tokens.holds(source, token, now));
    if !holds.unwrap_or(!server.required) {
        return Reply::refused(401, "get a token first: PUT /latest/api/token");
    }
    let found = match parts.as_slice() {
        [lxd::VERSION, rest @ ..] => lxd::get(&own, rest),
        ["nocloud", rest @ ..] => nocloud::get(&own, rest),
        all => tree::get(&own, all),
    };
    found.map_or_else(|| Reply::refused(404, "not found"), |body| Reply::text(200, body))
}

fn token(server: &Server, source: Ipv4Addr, request: &Request, now: u64) -> Reply {
    let ttl = request.line("x-aws-ec2-metadata-token-ttl-seconds");
    let ttl = ttl.and_then(|ttl| std::str::from_utf8(ttl).ok()?.parse::<u64>().ok());
    match ttl.filter(|ttl| (1..=LONGEST).contains(ttl)) {
        None => Reply::refused(400, &format!("{TTL} is a number from 1 to {LONGEST}")),
        Some(ttl) => {
            let token = server.tokens.make(source, now.saturating_add(ttl));
            Reply::text(200, token.into_bytes().into()).with(TTL, ttl.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
