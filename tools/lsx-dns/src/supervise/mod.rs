//! What only dnsmasq needs as DHCP server: with `boot.once`, which machines have booted. It reads that again when it changes.

use crate::boot::Tickets;
use crate::render;
use common::Failure;
use common::host::file::{self, Mode};
use common::host::service::kept::KeptService;
use common::host::service::log::Log;
use common::host::service::tend::Tend;
use common::journal::Mark;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The DHCP server of a stack.
pub(crate) struct Tended {
    /// The folder of its files.
    folder: PathBuf,
    stack: String,
    /// What its file of clients was made from.
    made: Option<(Option<Mark>, String)>,
    /// What was logged last.
    said: String,
}

impl Tended {
    /// Of a service of this tool.
    pub(crate) fn of(service: &KeptService) -> Tended {
        Tended { folder: service.files(), stack: service.stack.clone(), made: None, said: String::new() }
    }
}

impl Tend for Tended {
    fn prepare(&mut self, log: &Log) -> Result<bool, Failure> {
        let Some(known) = file::read(&self.folder.join(render::KNOWN))? else { return Ok(false) };
        let hosts = self.folder.join(render::HOSTS);
        let tickets = Tickets::on_disk(&self.stack)?;
        let made = Some((tickets.as_ref().and_then(Tickets::mark), known));
        if made == self.made && hosts.exists() {
            return Ok(false);
        }
        // A damaged journal must not end DHCP. The server of boot files gives none then.
        let booted = tickets.map_or_else(|| Ok(BTreeMap::new()), |tickets| tickets.all());
        let booted = booted.unwrap_or_else(|failure| {
            let why = failure.to_string();
            if why != self.said {
                log.say(&why);
                self.said = why;
            }
            BTreeMap::new()
        });
        let known = made.as_ref().map_or("", |(_, known)| known);
        let changed = file::write(&hosts, render::told(known, &booted).as_bytes(), Mode::Public)?;
        self.made = made;
        Ok(changed)
    }
}
