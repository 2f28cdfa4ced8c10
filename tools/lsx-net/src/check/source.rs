//! What tests one source makes, and what each should find.

use super::tries::{Job, Probe};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// A port that nobody serves: a refusal shows that packets pass (the discard port of RFC 863).
pub(super) const NOBODY: u16 = 9;

/// The source of tests: an instance, or a host.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) host: String,
    /// Hardware addresses of the instance; none for a host.
    pub(super) macs: Vec<String>,
    pub(super) tries: Vec<Try>,
    /// Tests in the instance itself: whether it serves the ports that are published for it.
    pub(super) serves: Vec<(Ipv4Addr, u16)>,
}

/// One test.
#[derive(Clone, Debug)]
pub(super) struct Try {
    /// Instance, host or gateway.
    pub(super) to: String,
    pub(super) instance: bool,
    pub(super) address: Ipv4Addr,
    pub(super) probe: Probe,
    pub(super) open: bool,
    pub(super) why: String,
    /// The port of the instance behind a published port.
    pub(super) serves: Option<u16>,
}

impl Source {
    /// The machine that runs the check, as a client outside the stack.
    pub(super) fn outside(tries: Vec<Try>) -> Source {
        let (name, host) = ("world".to_owned(), String::new());
        Source { name, host, macs: Vec::new(), tries, serves: Vec::new() }
    }

    pub(super) fn job(&self) -> Job {
        let serves = self.serves.iter().map(|(address, port)| (*address, Probe::Connect { port: *port }));
        let probes = self.tries.iter().map(|t| (t.address, t.probe)).chain(serves).collect();
        Job { macs: self.macs.clone(), probes, careful: false }
    }
}

impl Try {
    /// `web-1`, or `web-1:80` for a port, or `web-1/1450` for a size.
    pub(super) fn label(&self) -> String {
        match self.probe {
            Probe::Echo | Probe::Connect { port: NOBODY } => self.to.clone(),
            Probe::Connect { port } => format!("{}:{port}", self.to),
            Probe::Full { bytes, .. } => format!("{}/{bytes}", self.to),
        }
    }

    /// Whether it tests the MTU instead of permissions.
    pub(super) fn size(&self) -> bool {
        matches!(self.probe, Probe::Full { .. })
    }

    /// Whether to search for the size that does pass.
    pub(super) fn searches(&self) -> bool {
        matches!(self.probe, Probe::Full { search: true, .. })
    }

    pub(super) fn kind(&self) -> String {
        match self.probe {
            Probe::Echo => "ICMP echo".to_owned(),
            Probe::Connect { port } => format!("TCP {port}"),
            Probe::Full { bytes, .. } => format!("{bytes} bytes unfragmented"),
        }
    }

    /// Whether a state means that packets went there and back; `None` if nothing could be sent. A refused connection to a
    /// published port counts only if the instance itself refuses it from inside, too; otherwise something else may have
    /// refused it.
    pub(super) fn reached(&self, state: &str, idle: &BTreeSet<(String, u16)>) -> Option<bool> {
        match state {
            "failed" | "denied" | "" => None,
            "refused" => Some(self.serves.is_none_or(|port| idle.contains(&(self.to.clone(), port)))),
            "answered" | "open" => Some(true),
            _ => Some(false),
        }
    }
}

pub(super) fn one(to: String, instance: bool, address: Ipv4Addr, probe: Probe, open: bool, why: &str) -> Try {
    Try { to, instance, address, probe, open, why: why.to_owned(), serves: None }
}
