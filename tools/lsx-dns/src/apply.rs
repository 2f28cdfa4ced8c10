//! Changes one object of this host from its existing to its wanted state; nothing else writes. The engine writes intent and
//! boot entry.

use crate::model::{Object, Server};
use crate::observe::server;
use crate::{Dns, PROGRAM};
use common::host::file::{self, Mode};
use common::host::wait;
use common::tool::PlanOf;
use common::{Failure, Kind, document, fleet};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time limit for a server to load its configuration, and the interval of checks.
const LOAD: Duration = Duration::from_secs(90);
const STEP: Duration = Duration::from_millis(10);

/// Changes objects of one stack on this host, and records what it replaced, for undo.
pub(crate) struct Changer {
    plan: Arc<PlanOf<Dns>>,
    /// Configurations by digest that this run has replaced.
    replaced: Mutex<BTreeMap<String, String>>,
}

impl Changer {
    /// For the steps of a plan.
    pub(crate) fn new(plan: Arc<PlanOf<Dns>>) -> Self {
        Changer { plan, replaced: Mutex::default() }
    }

    /// Changes one object.
    ///
    /// # Errors
    /// What the server or the file system refused.
    pub(crate) fn change(&self, before: Option<&Object>, after: Option<&Object>) -> Result<(), Failure> {
        match (before, after) {
            (_, Some(Object::Service(wanted))) => self.serve(wanted),
            (Some(Object::Service(_)), None) => {
                self.remember()?;
                server(&self.plan.stack).remove()
            }
            _ => Ok(()),
        }
    }

    /// Starts the server, or lets it load another configuration. One that it refuses changes nothing.
    fn serve(&self, wanted: &Server) -> Result<(), Failure> {
        let text = self.text(&wanted.config).ok_or_else(|| {
            Failure::new(Kind::Data, "dns.plan.contents", "the plan lacks the configuration of the server")
        })?;
        let server = server(&self.plan.stack);
        let old = self.remember()?;
        server.make()?;
        file::write(&server.config(), text.as_bytes(), Mode::Private)?;
        let service = server.service();
        if !service.signal(Signal::SIGHUP) {
            let program = fleet::install(&[PROGRAM.to_owned()])?;
            let hint = format!("to run it by hand: lsx-dns serve {}", self.plan.stack);
            service.begin(&[program, "serve".to_owned(), self.plan.stack.clone()], &hint)?;
        }
        let loaded = || server.serves().is_some_and(|loaded| loaded == wanted.config);
        let refused = || server.state().is_some_and(|state| state.refused == wanted.config);
        wait::until(LOAD, STEP, || loaded() || refused() || wait::cancelled());
        if loaded() {
            return Ok(());
        }
        // What runs has still the old one, and would begin again with this one.
        if let Some(old) = old {
            file::write(&server.config(), old.as_bytes(), Mode::Private)?;
        }
        let why =
            server.state().and_then(|state| state.why).unwrap_or_else(|| "it did not answer".to_owned());
        let message = format!("the server of names did not load its configuration: {why}");
        let failure = Failure::new(Kind::Failed, "dns.serve", message);
        Err(server.last().into_iter().fold(failure, Failure::because))
    }

    /// A configuration named by a step: from the plan, or one that this run has replaced.
    fn text(&self, digest: &str) -> Option<String> {
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        self.plan.contents.get(digest).or_else(|| replaced.get(digest)).cloned()
    }

    /// The configuration that is about to be replaced.
    fn remember(&self) -> Result<Option<String>, Failure> {
        let text = file::read(&server(&self.plan.stack).config())?;
        if let Some(text) = &text {
            let mut all = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(document::digest(text.as_bytes()), text.clone());
        }
        Ok(text)
    }
}
