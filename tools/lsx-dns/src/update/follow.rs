//! A server of another host takes over what the one that keeps the names says.

use super::line::Line;
use super::news::News;
use super::writer::Names;
use crate::zone::Tables;
use common::journal::Journal;
use std::sync::RwLock;

impl Names {
    /// What has changed since another server had this serial.
    pub(crate) fn news(&self, from: u32) -> News {
        let (to, nothing) = (self.serial, self.serial == from);
        match if nothing { Some(Vec::new()) } else { self.history.lines(from) } {
            Some(lines) => News { from, to, whole: false, lines },
            None => News { from, to, whole: true, lines: self.whole() },
        }
    }

    /// Takes them over: they are in the journal before they are shown.
    ///
    /// # Errors
    /// Names or data that DNS does not allow, or errors of the file system; then nothing has changed, and it may be asked again.
    pub(crate) fn follow(
        &mut self,
        journal: &mut Journal<Line>,
        news: &News,
        (tables, now): (&RwLock<Tables>, u64),
    ) -> Result<(), String> {
        if news.is_empty() {
            return Ok(());
        }
        if !news.whole && news.from != self.serial {
            return Err("it is about another state".to_owned());
        }
        for line in &news.lines {
            if let Line::Update { names, .. } | Line::Names(names) = line {
                names.iter().try_for_each(|named| named.read().map(drop))?;
            }
        }
        let failed = |e: std::io::Error| format!("cannot write the journal: {e}");
        if news.whole {
            journal.replace(&news.lines).map_err(failed)?;
            self.load(&news.lines, now)?;
            self.show_all(tables);
            return Ok(());
        }
        if journal.is_unsure() {
            journal.replace(&self.whole()).map_err(failed)?;
        }
        journal.append(&news.lines).map_err(failed)?;
        let changes = self.take_over(&news.lines, now)?;
        self.show(&changes, tables);
        if journal.is_long() {
            journal.replace(&self.whole()).map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
