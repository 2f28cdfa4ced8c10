//! Observes this host: the servers of lsx-dns, and the host's own name servers. Changes nothing.

use crate::model::{Counts, Facts, NAMES, Object, Server};
use crate::plan::{have, key};
use crate::{Dns, PROGRAM};
use common::host::file;
use common::host::kept::Keeper;
use common::host::service::server;
use common::tool::{Observation, Tool};
use common::{Failure, Kind, fleet};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

/// The host's name servers, by systemd-resolved if it has them, since resolv.conf then names only itself.
const RESOLVERS: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// The number of name servers that are used (resolv.conf(5), MAXNS).
const MOST: usize = 3;

/// The server of a stack, whose name has been validated.
pub(crate) fn server(stack: &str) -> server::Server {
    server::Server { tool: Dns::NAME, program: PROGRAM, stack: stack.to_owned() }
}

/// The server of a stack that has a configuration here.
///
/// # Errors
/// Kind `Denied` without root; a stack without one.
pub(crate) fn configured(stack: &str) -> Result<server::Server, Failure> {
    common::host::root()?;
    if stacks().contains(stack) && server(stack).config().exists() {
        return Ok(server(stack));
    }
    let message = format!("no names of a stack {stack} are served on this host");
    Err(Failure::new(Kind::Failed, "dns.serve", message)
        .hint("`lsx-dns up` with the stack's file begins that"))
}

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
    common::host::root()?;
    let mut facts =
        Facts { program: fleet::installed_path(Dns::SET), resolvers: resolvers(), ..Facts::default() };
    let (mut objects, mut warnings) = (Vec::new(), Vec::new());
    for name in stack.map_or_else(stacks, |stack| [stack.to_owned()].into()) {
        let found = Keeper::of::<Dns>(&name).observe()?;
        objects.extend(found.objects(key).into_iter().map(|kept| kept.have(Dns::NAME)));
        warnings.extend(found.warnings);
        let server = server(&name);
        if server.exists() {
            let config = server.serves();
            let running = config.is_some();
            let config = config.unwrap_or_default();
            objects.push(have(Server { name: NAMES.to_owned(), config, running }));
            let state = server.state().unwrap_or_default();
            facts.counts.extend(counts_of(state.counts).map(|counts| (name.clone(), counts)));
            facts.why = state.why.filter(|_| stack.is_some());
        }
    }
    Ok((objects, facts, warnings))
}

/// What the server of a stack has answered.
///
/// # Errors
/// As [`configured`]; a server that has said nothing yet.
pub(crate) fn counts(stack: &str) -> Result<Counts, Failure> {
    let state = configured(stack)?.state().unwrap_or_default();
    counts_of(state.counts).ok_or_else(|| {
        let message = format!("the server of stack {stack} has not counted yet");
        let failure = Failure::new(Kind::Failed, "dns.serve", message);
        failure.hint("it does so every five seconds; lsx-dns observe shows whether it serves")
    })
}

/// What a worker wrote, if it has the right form.
fn counts_of(value: Option<serde_json::Value>) -> Option<Counts> {
    serde_json::from_value(value?).ok()
}

/// The stacks that keep anything here.
fn stacks() -> BTreeSet<String> {
    let folders = |root: &str, inside: &'static str| {
        let all = std::fs::read_dir(root).into_iter().flatten().flatten();
        let all = all.filter(move |entry| entry.path().join(inside).exists());
        all.filter_map(|entry| entry.file_name().into_string().ok())
    };
    let all = folders("/etc/lsx", "dns.json").chain(folders("/run/lsx", "dns/config.json"));
    all.chain(folders("/var/lib/lsx/dns", "log")).collect()
}

/// The host's name servers. Those on its loopback cannot be reached from a router.
fn resolvers() -> Vec<Ipv4Addr> {
    let of = |path: &&str| file::read(Path::new(path)).ok().flatten();
    let text = RESOLVERS.iter().find_map(of).unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.filter_map(|rest| rest.trim().parse().ok());
    servers.filter(|server: &Ipv4Addr| !server.is_loopback() && !server.is_unspecified()).take(MOST).collect()
}
