//! Recipes of an instance without an engine: its supervisor runs them, and a file beside its disk says which.

use super::{Life, Supervisor};
use crate::driver::Ran;
use crate::image::Store;
use crate::model::File;
use crate::oci::prepare;
use crate::recipes;
use common::Failure;
use std::path::Path;
use std::time::Duration;

/// See above.
pub(super) struct Kitchen<'a> {
    pub(super) life: &'a Life,
    pub(super) me: &'a mut Supervisor,
    /// Then one that still runs is killed.
    pub(super) limit: Duration,
}

impl recipes::Kitchen for Kitchen<'_> {
    fn done(&self) -> Result<Vec<File>, Failure> {
        prepare::done(&self.me.place)
    }

    fn note(&mut self, done: &[File]) -> Result<(), Failure> {
        prepare::did(&self.me.place, done)
    }

    fn text(&self, digest: &str) -> Result<Vec<u8>, Failure> {
        Store::open(Path::new(crate::paths::STORE))?.get(digest)
    }

    fn cook(&mut self, recipe: &File, text: &[u8]) -> Result<Ran, Failure> {
        let ran = self.life.inside(self.me, &recipes::SHELL, text, Some(self.limit))?;
        let said = [("stdout", &ran.stdout), ("stderr", &ran.stderr)];
        for (stream, text) in said.iter().filter(|(_, text)| !text.is_empty()) {
            self.me.log.lines(stream, &format!("recipe {}: ", recipe.path), text);
        }
        Ok(ran)
    }
}
