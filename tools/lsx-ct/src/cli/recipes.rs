//! The verb `recipes`: which recipes ran in which instance and when, compared with the present ones.

use super::act::ask;
use super::targets::{self, OnArgs, Where};
use crate::act::{Had, Order, RecipeAt, RecipeState};
use crate::model::{Done, Recipe};
use crate::{Ct, gather};
use clap::Args;
use common::cli::Global;
use common::stdio::Output;
use common::{Failure, Failures, Kind, document};
use std::collections::{BTreeMap, BTreeSet};

/// Flags of `recipes`.
#[derive(Debug, Args)]
pub(super) struct RecipesArgs {
    /// Instances by name or pattern; default: all
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    on: OnArgs,
    /// Exit with status 2 when a recipe has not been run, or has changed since
    #[arg(long)]
    check: bool,
}

pub(super) fn recipes(
    tool: &Ct,
    args: &RecipesArgs,
    global: &Global,
    output: &Output,
) -> Result<(), Failures> {
    let (mut place, targets, document) = targets::with_document(tool, &args.on, &args.names, global)?;
    // Without a document, the intent of the host is used.
    let current = match &document {
        Some((stack, from)) => Some(gather::current(&tool.store, stack, &|path| from.beside(path).into())?),
        None => None,
    };
    let order = |targets| Order { parallel: 1, ..Order::to(targets) };
    let (had, failed) =
        ask(&mut place, "recipes", targets, order, |had: &mut Had, host| had.host = host, None);
    let of = |had: &Had| match (&document, &current) {
        (Some((stack, _)), Some(current)) => {
            let key = stack.instances.iter().find(|(key, i)| i.replicas(key).contains(&had.instance));
            key.and_then(|(key, _)| current.get(key)).cloned().unwrap_or_default()
        }
        _ => had.wanted.clone(),
    };
    let rows: Vec<RecipeAt> = had.iter().flat_map(|had| rows(had, &of(had))).collect();
    output.emit(&rows)?;
    failed.verdict()?;
    if args.check { verdict(&rows, matches!(place, Where::Here)) } else { Ok(()) }
}

/// One row for each wanted recipe, in order; then those that were run and are no longer wanted.
fn rows(had: &Had, wanted: &[Recipe]) -> Vec<RecipeAt> {
    let last = |path: &str| had.done.iter().rev().find(|done| done.recipe.path == path);
    let row = |path: &str, state, now: Option<&Recipe>, then: Option<&Done>| RecipeAt {
        schema: document::schema("ct", "recipe"),
        host: had.host.clone(),
        stack: had.stack.clone(),
        instance: had.instance.clone(),
        recipe: path.to_owned(),
        state,
        changed: now.zip(then).map(|(now, then)| changed(now, &then.recipe)).unwrap_or_default(),
        digest: now.map(|now| now.digest.clone()),
        ran_digest: then.map(|then| then.recipe.digest.clone()),
        ran_at: then.and_then(|then| then.at.clone()),
    };
    let one = |recipe: &Recipe| {
        let same = had.done.iter().find(|done| done.recipe.same(recipe));
        match (same, last(&recipe.path)) {
            (Some(done), _) => row(&recipe.path, RecipeState::Ran, Some(recipe), Some(done)),
            (None, Some(done)) => row(&recipe.path, RecipeState::Changed, Some(recipe), Some(done)),
            (None, None) => row(&recipe.path, RecipeState::Missing, Some(recipe), None),
        }
    };
    let named: BTreeSet<&str> = wanted.iter().map(|recipe| recipe.path.as_str()).collect();
    let done: BTreeSet<&str> = had.done.iter().map(|done| done.recipe.path.as_str()).collect();
    let gone = done.difference(&named).map(|path| row(path, RecipeState::Unnamed, None, last(path)));
    wanted.iter().map(one).chain(gone).collect()
}

/// How two recipes of the same name differ.
fn changed(now: &Recipe, then: &Recipe) -> Vec<String> {
    let text = (now.digest != then.digest).then(|| "text".to_owned());
    let names: BTreeSet<&String> = now.values.keys().chain(then.values.keys()).collect();
    let values = names.into_iter().filter(|name| now.values.get(*name) != then.values.get(*name));
    text.into_iter().chain(values.cloned()).collect()
}

fn verdict(rows: &[RecipeAt], here: bool) -> Result<(), Failures> {
    let wanted = rows.iter().filter(|row| row.state != RecipeState::Unnamed).count();
    if wanted == 0 {
        let message = "no instance has a recipe";
        return Err(Failure::new(Kind::Failed, "check.nothing", message).into());
    }
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        match row.state {
            RecipeState::Missing => *count.entry("not run").or_default() += 1,
            RecipeState::Changed => *count.entry("changed since").or_default() += 1,
            RecipeState::Ran | RecipeState::Unnamed => {}
        }
    }
    if count.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = count.iter().map(|(word, n)| format!("{n} {word}")).collect();
    let message = format!("of {wanted} recipes {}", words.join(", "));
    let hint = if here { "`lsx-ct up` with the stack's document runs them" } else { "`lsx-ct up` runs them" };
    Err(Failure::new(Kind::Differs, "check.differs", message).hint(hint).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ran_is_told_from_what_is_another_one_since() {
        let one = |path: &str, digest: &str, pw: &str| json!({"path": path, "mode": 0, "digest": digest, "values": {"pw": {"secret": "s", "digest": pw}}});
        let wanted: Vec<Recipe> = serde_json::from_value(json!([
            one("a", "1", "x"),
            one("b", "2", "x"),
            one("c", "3", "y"),
            one("d", "4", "x")
        ]))
        .unwrap();
        let had: Had =
            serde_json::from_value(json!({"host": "h", "stack": "s", "instance": "i", "wanted": [],
            "done": [one("b", "1", "x"), one("a", "1", "x"), one("c", "3", "x"), one("old", "9", "x")]}))
            .unwrap();
        let rows = rows(&had, &wanted);
        let short: Vec<_> = rows.iter().map(|r| (r.recipe.as_str(), r.state, r.changed.join(" "))).collect();
        assert_eq!(
            short,
            [
                ("a", RecipeState::Ran, String::new()),
                ("b", RecipeState::Changed, "text".to_owned()),
                ("c", RecipeState::Changed, "pw".to_owned()),
                ("d", RecipeState::Missing, String::new()),
                ("old", RecipeState::Unnamed, String::new()),
            ]
        );
        assert_eq!(verdict(&rows, false).unwrap_err().0[0].kind, Kind::Differs);
        assert_eq!(verdict(&rows[..1], false).map_err(|f| f.to_string()), Ok(()));
        assert_eq!(verdict(&rows[4..], false).unwrap_err().0[0].kind, Kind::Failed);
    }
}
