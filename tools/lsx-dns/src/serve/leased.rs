//! Names of clients of DHCP: the worker looks each second whether dnsmasq has written its leases. It writes them in place, so that a
//! reader may see a part.

use super::changes::now;
use crate::dhcp;
use crate::model::Named;
use crate::zone::{self, Client, Tables};
use common::host::limit;
use common::log;
use std::fs::File;
use std::io::{self, Seek};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// What is read twice with this pause is taken for whole; how often that is tried at one look.
const PAUSE: Duration = Duration::from_millis(20);
const TRIES: usize = 10;

/// Time of the last change, and size.
type Stamp = (i64, i64, u64);

pub(super) struct Leases {
    pub(super) file: File,
    pub(super) networks: Vec<Named>,
    pub(super) tables: Arc<RwLock<Tables>>,
    read: Option<Stamp>,
    /// When the next lease ends.
    end: u64,
    failed: bool,
}

impl Leases {
    pub(super) fn new(file: File, networks: Vec<Named>, tables: Arc<RwLock<Tables>>) -> Leases {
        Leases { file, networks, tables, read: None, end: 0, failed: false }
    }

    /// Follows the file until another worker has taken over.
    pub(super) async fn watch(mut self, mut drained: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = drained.wait_for(|drained| *drained) => return,
            }
            self.look().await;
        }
    }

    /// Reads it if it was written, or if a lease has ended.
    pub(super) async fn look(&mut self) {
        let read = self.try_look().await;
        if let Err(e) = &read
            && !self.failed
        {
            log::warning(&format!("names of clients stay as they are: cannot read the leases: {e}"));
        }
        self.failed = read.is_err();
    }

    async fn try_look(&mut self) -> io::Result<()> {
        let (now, stamp) = (now(), self.stamp()?);
        if self.read == Some(stamp) && now < self.end {
            return Ok(());
        }
        let Some(bytes) = self.whole().await? else { return Ok(()) };
        let all = dhcp::told(&bytes, &self.networks, now);
        self.end = all.values().map(|told| told.end).min().unwrap_or(u64::MAX);
        let client = |told: dhcp::Told| Client { address: told.address, ttl: told.ttl };
        let names = all.into_iter().filter_map(|(name, told)| Some((zone::name(&name).ok()?, client(told))));
        let names = names.collect();
        self.tables.write().unwrap_or_else(PoisonError::into_inner).set_leases(names);
        self.read = Some(stamp);
        Ok(())
    }

    fn stamp(&self) -> io::Result<Stamp> {
        let found = self.file.metadata()?;
        Ok((found.mtime(), found.mtime_nsec(), found.size()))
    }

    /// All of it; none while it is being written.
    async fn whole(&self) -> io::Result<Option<Vec<u8>>> {
        let mut former = self.bytes()?;
        for _ in 0..TRIES {
            tokio::time::sleep(PAUSE).await;
            let bytes = self.bytes()?;
            if bytes == former && (bytes.is_empty() || bytes.ends_with(b"\n")) {
                return Ok(Some(bytes));
            }
            former = bytes;
        }
        Ok(None)
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        (&self.file).rewind()?;
        limit::take(&self.file, dhcp::MOST)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }
}
