//! Observes this host: the servers of lsx-dns, and the host's own name servers. Changes nothing.

use crate::Dns;
use crate::model::{Counts, Facts, Journaled, NAMES};
use crate::plan::key;
use crate::update::line::Line;
use common::host::file;
use common::host::kept::{self, Keeper};
use common::host::service::kept::KeptService;
use common::plan::Kept;
use common::tool::{Observation, Tool};
use common::{Failure, Kind, fleet, journal};
use rustix::fs::{Mode, OFlags, open};
use std::net::Ipv4Addr;
use std::path::Path;

/// The host's name servers, by systemd-resolved if it has them, since resolv.conf then names only itself.
const RESOLVERS: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// The number of name servers that are used (resolv.conf(5), MAXNS).
const MOST: usize = 3;

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<Kept, Facts>, Failure> {
    common::host::root()?;
    let mut facts =
        Facts { program: fleet::installed_path(Dns::SET), resolvers: resolvers(), ..Facts::default() };
    let (mut objects, mut warnings) = (Vec::new(), Vec::new());
    for name in stack.map_or_else(kept::found::<Dns>, |stack| [stack.to_owned()].into()) {
        let found = Keeper::of::<Dns>(&name).observe()?;
        objects.extend(found.objects(key).into_iter().map(|kept| kept.have(Dns::NAME)));
        warnings.extend(found.warnings);
        let keeper = found.intent.as_ref().and_then(|intent| intent.config.as_ref()?.servers.as_ref());
        let keeper = keeper.map(|servers| servers.host.clone());
        let journal = serial(&name).map(|serial| Journaled { serial, keeper: keeper.clone() });
        let journal = journal.or_else(|| keeper.map(|keeper| Journaled { serial: 0, keeper: Some(keeper) }));
        facts.journals.extend(journal.map(|journal| (name.clone(), journal)));
        facts.counts.extend(counts_of(&service(&name)).map(|counts| (name.clone(), counts)));
    }
    Ok((objects, facts, warnings))
}

/// The serial in the journal of a stack's names; none without one that can be read.
pub(crate) fn serial(stack: &str) -> Option<u32> {
    let Kept::Data { path } = Kept::data(Dns::NAME, stack) else { return None };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(Path::new(&path).join(NAMES), flags, Mode::empty()).ok()?;
    if let Some(serial) = journal::last::<Line>(&folder).ok().flatten().and_then(|line| line.serial()) {
        return Some(serial);
    }
    // Earlier versions wrote a shortened journal with its serial first.
    let (lines, _) = journal::read::<Line>(&folder).ok()?;
    lines.iter().rev().find_map(Line::serial)
}

/// The server of a stack, whose name has been validated.
fn service(stack: &str) -> KeptService {
    KeptService { tool: Dns::NAME, stack: stack.to_owned(), name: NAMES.to_owned() }
}

/// What the server of a stack has answered.
///
/// # Errors
/// Kind `Denied` without root; a stack without a server, or one that has said nothing yet.
pub(crate) fn counts(stack: &str) -> Result<Counts, Failure> {
    common::host::root().map_err(|failure| failure.hint("use sudo"))?;
    let service = service(stack);
    let failed = |message: String| Failure::new(Kind::Failed, "dns.serve", message);
    if service.text()?.is_none() {
        let failure = failed(format!("no names of a stack {stack} are served on this host"));
        return Err(failure.hint("`lsx-dns up` with the stack's file begins that"));
    }
    counts_of(&service).ok_or_else(|| {
        failed(format!("the server of stack {stack} has not counted yet"))
            .hint("it does so every five seconds; lsx-dns observe shows whether it serves")
    })
}

/// What a worker wrote, if it has the right form.
fn counts_of(service: &KeptService) -> Option<Counts> {
    serde_json::from_value(service.counts()?).ok()
}

/// The host's name servers. Those on its loopback cannot be reached from a router.
fn resolvers() -> Vec<Ipv4Addr> {
    let of = |path: &&str| file::read(Path::new(path)).ok().flatten();
    listed(&RESOLVERS.iter().find_map(of).unwrap_or_default())
}

/// Those of a text in the form of resolv.conf(5).
fn listed(text: &str) -> Vec<Ipv4Addr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.filter_map(|rest| rest.trim().parse().ok());
    servers.filter(|server: &Ipv4Addr| !server.is_loopback() && !server.is_unspecified()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::{Dice, soak};

    #[test]
    fn soak_resolvers() {
        let lines = [
            "nameserver 192.0.2.53\n",
            "nameserver\t192.0.2.54 \n",
            "  nameserver 127.0.0.53\n",
            "nameserver 0.0.0.0\n",
            "nameserver fe80::1%eth0\n",
            "# made by hand\n",
            "search internal\n",
            "options edns0\n",
        ];
        let make = |dice: &mut Dice| {
            let text: String = (0..dice.below(8)).map(|_| lines[dice.below(lines.len())]).collect();
            (if dice.below(2) == 0 { dice.broken(&text) } else { text }).into_bytes()
        };
        soak("dns-resolvers", 5_000, 30, make, |bytes| {
            let all = listed(&String::from_utf8_lossy(bytes));
            assert!(all.len() <= MOST, "{all:?}");
            assert!(all.iter().all(|at| !at.is_loopback() && !at.is_unspecified()), "{all:?}");
            !all.is_empty()
        });
    }
}
