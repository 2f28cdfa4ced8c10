//! The decisions of a tool, and what the engine keeps for it on a host. Pure.

use super::{Goal, ObservedOf, PlanInput, Tool};
use crate::document;
use crate::failure::Failure;
use crate::plan::show::Line;
use crate::plan::{Definition, Kept, Object, Step, Want, Warning};
use std::collections::BTreeMap;

/// The decisions of a tool; the engine adds the envelope.
#[derive(Debug)]
pub struct Draft<T: Tool> {
    /// The steps of all hosts.
    pub steps: Vec<Step<T::Object>>,
    /// Objects that the document does not name and that are kept.
    pub kept: Vec<String>,
    /// Warnings.
    pub warnings: Vec<Warning>,
    /// What the steps of several objects amount to, for people.
    pub told: Vec<Line>,
    /// Texts by digest.
    pub contents: BTreeMap<String, String>,
    /// The shared table.
    pub data: T::Data,
}

impl<T: Tool> Default for Draft<T> {
    fn default() -> Self {
        Draft {
            steps: Vec::new(),
            kept: Vec::new(),
            warnings: Vec::new(),
            told: Vec::new(),
            contents: BTreeMap::new(),
            data: T::Data::default(),
        }
    }
}

/// What the engine is to keep of a stack on a host.
#[derive(Debug)]
pub struct Keeps<'a, I> {
    /// What is restored after a reboot; none: neither that nor anything that is run.
    pub intent: Option<&'a I>,
    /// The tool's copy there, as observed.
    pub program: &'a str,
    /// Programs and servers that are kept running, by name.
    pub services: BTreeMap<String, Definition>,
    /// Whether it has data. Data that exists stays until it is to be destroyed.
    pub data: bool,
}

impl<T: Tool> Draft<T>
where
    T::Object: From<Kept>,
{
    /// Wants all of this on a host, lists data that `down` keeps, and adds the texts.
    ///
    /// # Errors
    /// A value that is no document.
    pub fn keep(
        &mut self,
        tool: &T,
        input: &PlanInput<T::Gathered>,
        (host, seen): (&str, &ObservedOf<T>),
        keeps: Keeps<'_, T::Intent>,
    ) -> Result<Vec<Want<T::Object>>, Failure> {
        let data = Kept::data(T::NAME, &input.stack);
        let there = seen.objects.iter().any(|have| have.object.kept().as_ref() == Some(&data));
        let down = matches!(input.goal, Goal::Down);
        let stays = there && !(down && input.destroy_data);
        if let (true, true, Some((name, _))) = (down, stays, data.called()) {
            self.kept.push(format!("{host}: {name}"));
        }
        let mut kept: Vec<Kept> = (keeps.data || stays).then_some(data).into_iter().collect();
        if let Some(intent) = keeps.intent {
            let digest = T::intent_key(intent);
            self.text(digest.clone(), intent)?;
            kept.extend(Kept::of(digest, keeps.program, host, !tool.jobs(intent).is_empty()));
            for (name, definition) in keeps.services {
                let config = document::digest_of(&definition)?;
                self.text(config.clone(), &definition)?;
                kept.push(Kept::service(name, config, &definition));
            }
        }
        Ok(kept.into_iter().map(|kept| kept.want(T::NAME)).collect())
    }

    /// Adds a text that steps name by this digest.
    fn text(&mut self, digest: String, of: &impl serde::Serialize) -> Result<(), Failure> {
        let text = document::canonical(of)?;
        self.contents.insert(digest, String::from_utf8_lossy(&text).into_owned());
        Ok(())
    }

    /// Removes the texts that no step names.
    pub fn prune_texts(&mut self) {
        let named = self.steps.iter().filter_map(|step| step.after.as_ref()?.content());
        let named: std::collections::BTreeSet<&str> = named.collect();
        self.contents.retain(|digest, _| named.contains(digest.as_str()));
    }
}
