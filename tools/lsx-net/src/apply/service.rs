//! The server of the load balancers: its configuration, checked before it is used, and its start, reload and end.

use super::Changer;
use crate::model::Server;
use crate::render::balance::whole;
use crate::render::certificates::{listed, secrets, without};
use crate::supervise::{Home, forget_secrets};
use common::document::digest;
use common::host::file::{self, Mode};
use common::host::{Program, wait};
use common::{Failure, Kind, fleet};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time limit for a server to load its configuration, and the interval of checks.
const LOAD: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(10);

impl Changer {
    /// Starts the server, or lets it load another configuration. One that HAProxy refuses changes nothing.
    pub(super) fn serve(&self, wanted: &Server) -> Result<(), Failure> {
        let missing = || {
            Failure::new(
                Kind::Data,
                "net.plan.contents",
                "the plan lacks the configuration of the load balancers",
            )
        };
        let text = self.text(&wanted.config).ok_or_else(missing)?;
        let home = Home::new(&self.stack);
        self.remember_config(&home)?;
        home.make()?;
        let whole = whole(&text, &wanted.config);
        valid(&home, &whole)?;
        let old = file::read(&home.wanted())?;
        let failed = home.failed();
        file::write(&home.wanted(), whole.as_bytes(), Mode::Private)?;
        let service = home.service();
        if !service.signal(Signal::SIGHUP) {
            let program = fleet::install(&[crate::PROGRAM.to_owned()])?;
            let hint = format!("to run it by hand: lsx-net supervise {}", self.stack);
            service.begin(&[program, "supervise".to_owned(), self.stack.to_owned()], &hint)?;
        }
        let loaded = || home.serves(&wanted.config);
        let refused = || failed.is_some() && home.failed() > failed;
        if wait::until(LOAD, STEP, || loaded() || refused() || wait::cancelled()) && loaded() {
            let used = secrets(&text).map(|(name, _)| name).collect();
            return forget_secrets(&self.stack, &used);
        }
        // The running server still has the old one, but would be restarted with this one.
        if let Some(old) = old {
            file::write(&home.wanted(), old.as_bytes(), Mode::Private)?;
        }
        let failure = Failure::new(Kind::Failed, "net.balance", "HAProxy did not load its configuration");
        Err(home.last().into_iter().fold(failure, Failure::because))
    }

    /// Ends the server.
    pub(super) fn end_service(&self) -> Result<(), Failure> {
        let home = Home::new(&self.stack);
        self.remember_config(&home)?;
        home.remove()?;
        forget_secrets(&self.stack, &BTreeSet::new())
    }

    /// The configuration that is about to be replaced, so that undo can restore it.
    fn remember_config(&self, home: &Home) -> Result<(), Failure> {
        let text = file::read(&home.wanted())?.unwrap_or_default();
        if let Some(at) = text.rfind("global\n") {
            let text = text[..at].to_owned();
            self.remember(digest(text.as_bytes()), text);
        }
        Ok(())
    }
}

/// Lets HAProxy check a configuration, without certificates, which the supervisor checks one by one.
fn valid(home: &Home, text: &str) -> Result<(), Failure> {
    let candidate = home.candidate();
    let certificates = listed(text).into_iter().map(|one| one.file).collect();
    file::write(&candidate, without(text, &certificates).as_bytes(), Mode::Private)?;
    let checked = Program::new("haproxy").args(["-c", "-f"]).args([&candidate]).run(b"");
    file::remove(&candidate)?;
    checked.map(|_| ()).map_err(|failure| {
        let why = failure.program.map(|program| program.output).unwrap_or_default();
        let refused = Failure::new(
            Kind::Failed,
            "net.balance",
            "HAProxy refuses the configuration of the load balancers",
        );
        // Its other lines have its version.
        let alerts: Vec<&String> = why.iter().filter(|line| line.contains("[ALERT]")).collect();
        let why = if alerts.is_empty() { why.iter().collect() } else { alerts };
        why.into_iter().fold(refused, Failure::because)
    })
}
