//! From a start to a ready instance: its recipes, then its readiness check. There is no supervisor, so the run that started
//! it waits; if that is killed, the instance still starts, and the next run continues.

use super::client::OPERATION;
use super::files::Put;
use super::marks::RECIPES;
use super::{Entrypoint, Lxd};
use crate::accounts::Alone;
use crate::driver::{Exec, Ran};
use crate::model::{Done, Instance, Recipe, State, cloud, engine_name};
use crate::ready::{self, Why};
use crate::recipes::{self, Script};
use crate::supervise::waiting;
use common::Failure;
use common::host::wait;
use serde_json::json;
use std::time::{Duration, Instant};
use ureq::http::Method;

impl Lxd {
    pub(super) fn await_ready(&self, stack: &str, instance: &Instance, engine: &str) -> Result<(), Failure> {
        let (began, limit) = (Instant::now(), ready::limit(instance));
        let pid = self.pid(engine)?.ok_or_else(|| self.ended(engine))?;
        let mut backoff = ready::backoff(instance, Some(limit));
        loop {
            // Frozen, because the host's disk is nearly full: it answers nothing, and the server runs nothing in it.
            let frozen = || waiting::frozen(stack, &instance.name);
            let why = match self.tried(stack, instance, pid, (began, limit)) {
                Ok(None) => None,
                Ok(Some(why)) => Some(why),
                Err(_) if self.owned(stack, &instance.name)?.frozen() => Some("it is frozen".to_owned()),
                Err(failure) => return Err(self.words(engine, failure)),
            };
            if !self.owned(stack, &instance.name)?.runs() {
                return Err(self.ended(engine));
            }
            let Some(why) = why else { return Ok(()) };
            let why = frozen().unwrap_or(why);
            let left = limit.saturating_sub(began.elapsed());
            let failed = cloud::failed(instance.ready.as_ref(), &why);
            let Some(pause) = backoff.next().filter(|pause| *pause < left && !failed) else {
                let failure = ready::unready(&instance.name, State::Starting, Some(why));
                let hint = match failed {
                    true => {
                        format!("see: lsx-ct exec {} -- cat /var/log/cloud-init-output.log", instance.name)
                    }
                    false => {
                        format!("see: lsx-ct logs {}; to wait longer, increase ready.timeout", instance.name)
                    }
                };
                return Err(self.words(engine, failure).hint(hint));
            };
            wait::until(pause, pause, || false);
        }
    }

    /// Recipes first, then the readiness check.
    fn tried(
        &self,
        stack: &str,
        instance: &Instance,
        pid: u32,
        (began, limit): (Instant, Duration),
    ) -> Result<Why, Failure> {
        let mut runner = RecipeRunner { lxd: self, stack, instance, end: began + limit };
        if let Some(why) = recipes::run(instance, &mut runner)? {
            return Ok(Some(why));
        }
        ready::once(instance, pid, began.elapsed(), &mut |argv| {
            let deadline = Some(ready::TRY_INSIDE);
            let exec = Exec { argv: argv.to_vec(), deadline, ..runner.place()? };
            self.run(stack, &instance.name, &exec)
        })
    }
}

/// The path of a recipe while it is run. It is not passed on standard input: LXD waits as long as any process holds the
/// output, such as a program that the recipe left running.
const RECIPE: &str = "/.lsx-recipe";

/// Recipes of an instance in a server, which records with the instance which have been run.
struct RecipeRunner<'a> {
    lxd: &'a Lxd,
    stack: &'a str,
    instance: &'a Instance,
    /// Time limit, after which running ones are killed.
    end: Instant,
}

impl RecipeRunner<'_> {
    /// Folder and user of the instance's own command; the server sets its environment.
    fn place(&self) -> Result<Exec, Failure> {
        let Entrypoint { user, workdir, .. } = self.lxd.first(self.instance)?;
        let user = Some(user).filter(|user| !user.is_empty());
        Ok(Exec { user, workdir: Some(workdir), ..Exec::default() })
    }
}

impl recipes::RecipeRunner for RecipeRunner<'_> {
    fn done(&self) -> Result<Vec<Done>, Failure> {
        Ok(self.lxd.owned(self.stack, &self.instance.name)?.recipes())
    }

    fn note(&mut self, done: &[Done]) -> Result<(), Failure> {
        let engine = engine_name(self.stack, &self.instance.name);
        let done = String::from_utf8_lossy(&common::document::canonical(&done)?).into_owned();
        let order = json!({"config": {RECIPES: done}});
        let path = format!("/1.0/instances/{engine}");
        self.lxd.client.send(&Method::PATCH, &path, &order, None, OPERATION)?;
        Ok(())
    }

    fn text(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        self.lxd.supply.blob(digest)
    }

    fn secret(&self, name: &str) -> Result<Vec<u8>, Failure> {
        recipes::secret(self.stack, name)
    }

    fn cook(&mut self, recipe: &Recipe, script: &Script) -> Result<Ran, Failure> {
        let (engine, place) = (engine_name(self.stack, &self.instance.name), self.place()?);
        let owner = match &place.user {
            Some(user) => {
                self.lxd.owner(&self.lxd.accounts(&engine)?, &self.instance.name, (user, Alone::Root))?
            }
            None => (0, 0),
        };
        self.lxd.put(&engine, &Put { path: RECIPE, mode: 0o400, owner, bytes: &script.text })?;
        let read = format!("exec {} <{RECIPE}", recipes::SHELL.join(" "));
        let exec = Exec {
            argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), read],
            deadline: Some(self.end.saturating_duration_since(Instant::now())),
            ..place
        };
        let what = format!("recipe {} {}", recipe.path, recipe.digest);
        self.lxd.end_others(&what, self.stack, &self.instance.name)?;
        let ran = self.lxd.run_for(&what, self.stack, &self.instance.name, &exec);
        self.lxd.take(&engine, RECIPE)?;
        ran.map(|ran| script.masked(ran))
    }
}
