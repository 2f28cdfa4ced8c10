//! The server of the load balancers: its configuration, checked before it is used, and its start, reload and end.

use super::Changer;
use crate::model::Server;
use crate::render::balance::{text_in, whole};
use crate::render::certificates::{listed, secrets, without};
use crate::supervise::{Home, forget_secrets};
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind, document, fleet};
use std::collections::BTreeSet;

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
        let whole = whole(&text, &wanted.config);
        valid(&home, &whole)?;
        home.end_earlier()?;
        let definition = document::canonical(&home.definition(&whole))?;
        let config = document::digest(&definition);
        let program = fleet::install(&[crate::PROGRAM.to_owned()])?;
        home.service().serve(&String::from_utf8_lossy(&definition), &config, &program).map_err(
            |failure| {
                let (code, message) =
                    ("net.balance".to_owned(), "HAProxy did not load its configuration".to_owned());
                let why = failure.message.clone();
                Failure { code, message, ..failure }.because(why)
            },
        )?;
        let used = secrets(&text).map(|(name, _)| name).collect();
        forget_secrets(&self.stack, &used)
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
        if let Some(text) = text_in(&text).map(str::to_owned) {
            self.remember(document::digest(text.as_bytes()), text);
        }
        Ok(())
    }
}

/// Lets HAProxy check a configuration, without certificates, which the supervisor checks one by one.
fn valid(home: &Home, text: &str) -> Result<(), Failure> {
    let candidate = home.candidate();
    let certificates = listed(text).into_iter().map(|one| one.file).collect();
    file::private_folder(home.folder())?;
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
