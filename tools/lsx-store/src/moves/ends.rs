//! The two hosts of a move, asked in turns.

use crate::Store;
use crate::apply::moved::Ask;
use crate::carry::pass::Ends;
use crate::carry::{Entry, Got, Listing, Raw, Taken, Want};
use crate::model::Volume;
use common::verb::HostSet;
use common::{Failure, Failures, Kind, fleet};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Both hosts, and what is asked about.
pub(super) struct Fleet {
    hosts: HostSet<Store>,
    stack: String,
    from: String,
    pub(super) to: String,
    /// As it will be on the new host.
    pub(super) volume: Volume,
    /// Since when files have changed that are compared once more; set while nobody uses it.
    pub(super) last: Option<i64>,
    /// The copy may be the volume already.
    pub(super) switching: bool,
}

impl Fleet {
    pub(super) fn new(
        hosts: HostSet<Store>,
        stack: &str,
        volume: Volume,
        from: Option<&str>,
        to: &str,
    ) -> Self {
        let from = from.unwrap_or_default().to_owned();
        let (stack, to) = (stack.to_owned(), to.to_owned());
        Fleet { hosts, stack, from, to, volume, last: None, switching: false }
    }

    /// The names of the stack and the volume.
    pub(super) fn named(&self) -> (String, String) {
        (self.stack.clone(), self.volume.name.clone())
    }

    fn ask<A: DeserializeOwned>(&mut self, host: &str, ask: &Ask) -> Result<A, Failures> {
        // Hosts only say that they are at work.
        let asked = BTreeMap::from([(host.to_owned(), json!(ask))]);
        let answer = self.hosts.hear("move", asked, &mut |_, _| {}).remove(host);
        let none = || Failure::new(Kind::Unreachable, "fleet.lost", "no answer").on(host).into();
        let answer = answer.unwrap_or_else(|| Err(none()))?;
        Ok(fleet::shape(answer).map_err(|failure| failure.on(host))?)
    }

    pub(super) fn source<A: DeserializeOwned>(&mut self, ask: &Ask) -> Result<A, Failures> {
        let host = self.from.clone();
        self.ask(&host, ask)
    }

    pub(super) fn target<A: DeserializeOwned>(&mut self, ask: &Ask) -> Result<A, Failures> {
        let host = self.to.clone();
        self.ask(&host, ask)
    }
}

impl Ends for Fleet {
    fn list(&mut self, path: &Raw, after: &Raw) -> Result<Option<Listing>, Failures> {
        let ((stack, name), last) = (self.named(), self.last);
        self.source(&Ask::List { stack, name, path: path.clone(), after: after.clone(), last })
    }
    fn read(&mut self, wants: &[Want], room: usize) -> Result<Vec<Got>, Failures> {
        let (stack, name) = self.named();
        self.source(&Ask::Read { stack, name, wants: wants.to_vec(), room })
    }
    fn take(&mut self, listing: &Listing) -> Result<Taken, Failures> {
        let (stack, volume) = (self.stack.clone(), self.volume.clone());
        self.target(&Ask::Take { stack, volume, listing: listing.clone() })
    }
    fn sums(&mut self, path: &Raw, offset: u64) -> Result<Vec<String>, Failures> {
        let (stack, volume) = (self.stack.clone(), self.volume.clone());
        self.target(&Ask::Sums { stack, volume, path: path.clone(), offset })
    }
    fn write(&mut self, files: Vec<(Raw, Entry, u64, Got)>) -> Result<(), Failures> {
        let (stack, volume) = (self.stack.clone(), self.volume.clone());
        self.target::<Value>(&Ask::Write { stack, volume, files }).map(|_| ())
    }
}
