//! The worker of a service: the tool's own server, on sockets that its supervisor opened.
//!
//! Its standard input is a Unix socket to the supervisor. Descriptors come over it first: the definition, the socket for
//! later supervisors, the server's own folder, its secrets, the files that it reads, the folder that it sees and
//! those in volumes if the definition has them, then a UDP and a TCP socket for each address. The worker then sends lines, `ready DIGEST PROCESS`, `no REASON`
//! or `beat COUNTS`, and receives `drain`. When the supervisor is gone, the worker serves on, and passes its sockets to the next one.

use super::sockets;
use crate::failure::{Failure, Kind};
use crate::plan::Definition;
use crate::{document, host::limit};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// The interval of `beat`.
pub(super) const BEAT: Duration = Duration::from_secs(5);
/// A definition, in bytes.
const DEFINITION: u64 = 256 * 1024 * 1024;
/// Time limit of a supervisor for one line.
const WRITE: Duration = Duration::from_secs(10);

/// What a worker gets from its supervisor.
#[derive(Debug)]
pub struct Worker {
    /// Its service.
    pub name: String,
    /// The definition, until its configuration is taken.
    text: Vec<u8>,
    /// The sockets of each address; they do not block.
    pub sockets: Vec<(UdpSocket, TcpListener)>,
    /// Its folder for what must outlive it.
    pub folder: Option<OwnedFd>,
    /// Its secrets, by name.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// The files that it reads, in the order of the definition.
    pub reads: Vec<File>,
    /// The folder that it sees, for looking up names only.
    pub seen: Option<OwnedFd>,
    /// Its folders in volumes, in the order of the definition.
    pub folders: Vec<OwnedFd>,
    /// Digest of the definition.
    digest: String,
    supervisor: UnixStream,
    next: UnixListener,
}

impl Worker {
    /// Receives everything. `program` is what others see of it: it has been started by a path that says nothing.
    ///
    /// # Errors
    /// If standard input is no supervisor.
    pub(crate) fn begin(program: &str, name: &str) -> Result<Worker, Failure> {
        let _ = nix::sys::prctl::set_name(&CString::new(program).unwrap_or_default());
        let failed = |e: io::Error| {
            let message = format!("standard input is not the socket of a supervisor: {e}");
            Failure::new(Kind::Usage, "host.service", message).hint("the supervisor starts workers")
        };
        let missing = || failed(io::ErrorKind::InvalidData.into());
        let supervisor = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
        let mut all = sockets::receive(&supervisor).map_err(failed)?.into_iter();
        let definition = File::from(all.next().ok_or_else(missing)?);
        let next = UnixListener::from(all.next().ok_or_else(missing)?);
        let text = limit::read(definition, DEFINITION, "the definition")?;
        let (definition, server) = Definition::read::<IgnoredAny>(&text).map_err(|e| failed(e.into()))?;
        server.ok_or_else(missing)?;
        let Definition { data, secrets: names, reads: paths, seen: sees, folders: more, .. } = definition;
        let folder = if data { Some(all.next().ok_or_else(missing)?) } else { None };
        let mut secrets = BTreeMap::new();
        for (name, _) in names {
            let file = File::from(all.next().ok_or_else(missing)?);
            let value = limit::read(file, limit::SECRET, &format!("the secret {name}"))?;
            secrets.insert(name, value);
        }
        let mut reads = Vec::new();
        for _ in paths {
            reads.push(File::from(all.next().ok_or_else(missing)?));
        }
        let seen = if sees.is_some() { Some(all.next().ok_or_else(missing)?) } else { None };
        let mut folders = Vec::new();
        for _ in more {
            folders.push(all.next().ok_or_else(missing)?);
        }
        let sockets = pairs(all.collect()).map_err(failed)?;
        let sockets = sockets.into_iter().map(|(udp, tcp)| (udp.into(), tcp.into())).collect();
        let digest = document::digest(&text);
        let name = name.to_owned();
        Ok(Worker { name, text, sockets, folder, secrets, reads, seen, folders, digest, supervisor, next })
    }

    /// The configuration; its text is forgotten, so this works once.
    ///
    /// # Errors
    /// Why it is not one of this tool.
    pub fn config<C: DeserializeOwned>(&mut self) -> Result<C, String> {
        let read = Definition::read(&std::mem::take(&mut self.text)).map_err(|e| e.to_string())?;
        read.1.ok_or_else(|| "the definition is that of a program".to_owned())
    }

    /// Refuses the configuration; the supervisor keeps the former worker.
    pub fn refuse(&mut self, why: &str) {
        let line = why.replace('\n', ", ");
        let _ = self.supervisor.write_all(format!("no {line}\n").as_bytes());
    }

    /// Reports that it serves, then follows the supervisor, in a separate thread. `alive` is called at times: while the
    /// server works, it returns what the server has counted, as JSON in one line; `drain` is called when another worker has taken over.
    ///
    /// # Errors
    /// Errors of the kernel.
    pub fn follow(
        self,
        alive: impl Fn() -> Option<String> + Send + 'static,
        drain: impl FnOnce() + Send + 'static,
    ) -> io::Result<Vec<(UdpSocket, TcpListener)>> {
        let sockets = self.sockets.iter().map(|(udp, tcp)| Ok((udp.try_clone()?, tcp.try_clone()?)));
        let sockets = sockets.collect::<io::Result<_>>()?;
        let work = move || {
            self.until_drained(&alive);
            drain();
        };
        std::thread::Builder::new().name("supervisor".to_owned()).spawn(work)?;
        Ok(sockets)
    }

    fn until_drained(mut self, alive: &dyn Fn() -> Option<String>) {
        loop {
            if let Ok(true) = self.hears(alive) {
                return;
            }
            // The supervisor is gone: wait for the next one.
            while let Ok((stream, _)) = self.next.accept() {
                self.supervisor = stream;
                let all = self.sockets.iter().flat_map(|(udp, tcp)| [udp.as_fd(), tcp.as_fd()]);
                if sockets::send(&self.supervisor, &all.collect::<Vec<_>>()).is_ok() {
                    break;
                }
            }
        }
    }

    /// Until `drain`; false or an error when the supervisor is gone.
    fn hears(&mut self, alive: &dyn Fn() -> Option<String>) -> io::Result<bool> {
        let ready = format!("ready {} {}\n", self.digest, std::process::id());
        self.supervisor.set_read_timeout(Some(BEAT))?;
        self.supervisor.set_write_timeout(Some(WRITE))?;
        self.supervisor.write_all(ready.as_bytes())?;
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            match self.supervisor.read(&mut byte) {
                Ok(0) => return Ok(false),
                Ok(_) if byte == *b"\n" && line == b"drain" => return Ok(true),
                Ok(_) if byte == *b"\n" => line.clear(),
                Ok(_) => line.push(byte[0]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if let Some(counts) = alive() {
                        self.supervisor.write_all(format!("beat {counts}\n").as_bytes())?;
                    }
                }
                Err(e) => return Err(e),
            }
            line.truncate(64);
        }
    }
}

/// Sockets in the order UDP, TCP of each address.
pub(super) fn pairs(all: Vec<OwnedFd>) -> io::Result<Vec<(OwnedFd, OwnedFd)>> {
    let mut pairs = Vec::new();
    let mut all = all.into_iter();
    while let Some(udp) = all.next() {
        let tcp = all.next().ok_or(io::ErrorKind::InvalidData)?;
        if !sockets::datagrams(&udp)? || sockets::datagrams(&tcp)? {
            return Err(io::ErrorKind::InvalidData.into());
        }
        pairs.push((udp, tcp));
    }
    Ok(pairs)
}
