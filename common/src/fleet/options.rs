//! The hosts of a fleet, and how they are reached.

use super::BIN;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// A host to reach.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in the stack.
    pub name: String,
    /// `[user@]address[:port]` for `ssh`.
    pub ssh: String,
    /// Its address; an address of this machine makes it local.
    pub address: Ipv4Addr,
    /// File of the private key; default: ssh's own configuration and agent.
    pub key: Option<PathBuf>,
    /// Treat it as this machine, whatever the address is.
    pub local: bool,
}

/// How hosts are reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file for `ssh -F`, instead of the user's.
    pub ssh_config: Option<PathBuf>,
    /// Time limit of each host for the whole verb, counted from [`Fleet::new`](super::Fleet::new), or from the last
    /// progress of a transfer.
    pub deadline: Duration,
    /// Time limit for a new connection; whole seconds, at least one.
    pub connect_timeout: Duration,
    /// How long an idle SSH connection waits for the next run; whole seconds, at least one.
    pub persist: Duration,
    /// The binaries that the tool needs on a host: the tool itself first, then others in the same folder.
    pub set: Vec<String>,
    /// Number of new connections made at the same time.
    pub max_parallel: usize,
    /// Checked every 50 ms, and when a host sends something. Once true, the input of every session is closed, so that hosts
    /// undo; their replies are still awaited.
    pub interrupted: fn() -> bool,
    /// A folder with `<arch>/<name>` for hosts of another architecture (`LSX_TOOLS`).
    pub tools: Option<PathBuf>,
    /// Use only new connections: this shows that a host still accepts them.
    pub fresh: bool,
    /// Whether an address of this machine makes a target local; false only in tests.
    pub detect_local: bool,
    /// The folder of copies on hosts: [`BIN`], except in tests.
    pub bin_root: PathBuf,
    /// The folder of the SSH masters; `None`: a private folder below `/run`.
    pub control: Option<PathBuf>,
}

impl Default for Options {
    /// 5 minutes, 10 s to connect, 60 s idle, 16 new connections at a time. The tool fills in the set.
    fn default() -> Options {
        Options {
            ssh_config: None,
            deadline: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            persist: Duration::from_secs(60),
            set: Vec::new(),
            max_parallel: 16,
            interrupted: || false,
            tools: None,
            fresh: false,
            detect_local: true,
            bin_root: BIN.into(),
            control: None,
        }
    }
}
