//! Recipes of an instance with the driver oci: its supervisor runs them, and a file beside its disk lists those that have
//! been run.

use super::{Run, Supervisor};
use crate::driver::Ran;
use crate::image::Store;
use crate::model::{Done, Recipe};
use crate::oci::prepare;
use crate::recipes::{self, Script};
use common::Failure;
use std::path::Path;
use std::time::Duration;

/// The recipes of one instance.
pub(super) struct RecipeRunner<'a> {
    pub(super) life: &'a Run,
    pub(super) me: &'a mut Supervisor,
    /// Time limit, after which a running one is killed.
    pub(super) limit: Duration,
}

impl recipes::RecipeRunner for RecipeRunner<'_> {
    fn done(&self) -> Result<Vec<Done>, Failure> {
        prepare::done(&self.me.place)
    }

    fn note(&mut self, done: &[Done]) -> Result<(), Failure> {
        prepare::did(&self.me.place, done)
    }

    fn text(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        Store::open(Path::new(crate::paths::STORE))?.get(digest)
    }

    fn secret(&self, name: &str) -> Result<Vec<u8>, Failure> {
        recipes::secret(&self.me.stack, name)
    }

    fn cook(&mut self, recipe: &Recipe, script: &Script) -> Result<Ran, Failure> {
        let ran =
            script.masked(self.life.inside(self.me, &recipes::SHELL, &script.text, Some(self.limit))?);
        let said = [("stdout", &ran.stdout), ("stderr", &ran.stderr)];
        for (stream, text) in said.iter().filter(|(_, text)| !text.is_empty()) {
            self.me.log.lines(stream, &format!("recipe {}: ", recipe.path), text);
        }
        Ok(ran)
    }
}
