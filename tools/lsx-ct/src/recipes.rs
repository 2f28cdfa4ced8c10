//! Recipes: scripts that an instance's own shell runs in it, once and in order, after its first start; the same for every engine.

use crate::driver::Ran;
use crate::model::{File, Instance};
use crate::ready::{Why, ended};
use common::Failure;

/// What runs a recipe: it is read from standard input, and ends at the first command that fails.
pub(crate) const SHELL: [&str; 2] = ["/bin/sh", "-e"];

/// What an engine does for the recipes of one instance.
pub(crate) trait Kitchen {
    /// Those that have been run.
    fn done(&self) -> Result<Vec<File>, Failure>;

    /// Notes those that have been run, as long as the instance is not made anew.
    fn note(&mut self, done: &[File]) -> Result<(), Failure>;

    /// The text of one.
    fn text(&self, digest: &str) -> Result<Vec<u8>, Failure>;

    /// Runs [`SHELL`] in the instance, as the user and in the folder of its own command.
    fn cook(&mut self, recipe: &File, text: &[u8]) -> Result<Ran, Failure>;
}

/// Those that have not been run yet, in order.
pub(crate) fn left<'a>(instance: &'a Instance, done: &[File]) -> Vec<&'a File> {
    instance.recipes.iter().filter(|recipe| !done.contains(recipe)).collect()
}

/// Runs what is left until one fails; what that one said, none when all have been run. One that failed is run again by the next
/// try, from its begin.
///
/// # Errors
/// When one could not be run at all, or not be noted.
pub(crate) fn run(instance: &Instance, kitchen: &mut dyn Kitchen) -> Result<Why, Failure> {
    if instance.recipes.is_empty() {
        return Ok(None);
    }
    let mut done = kitchen.done()?;
    for recipe in left(instance, &done) {
        let ran = kitchen.cook(recipe, &kitchen.text(&recipe.digest)?)?;
        if ran.code != 0 {
            return Ok(Some(ended(&format!("recipe {}", recipe.path), &ran)));
        }
        done.push(recipe.clone());
        kitchen.note(&done)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Default)]
    struct Fake {
        done: Vec<File>,
        cooked: Vec<String>,
        fails: &'static str,
    }

    impl Kitchen for Fake {
        fn done(&self) -> Result<Vec<File>, Failure> {
            Ok(self.done.clone())
        }

        fn note(&mut self, done: &[File]) -> Result<(), Failure> {
            self.done = done.to_vec();
            Ok(())
        }

        fn text(&self, digest: &str) -> Result<Vec<u8>, Failure> {
            Ok(digest.as_bytes().to_vec())
        }

        fn cook(&mut self, _: &File, text: &[u8]) -> Result<Ran, Failure> {
            let text = String::from_utf8_lossy(text).into_owned();
            let code = if text == self.fails { 3 } else { 0 };
            self.cooked.push(text);
            Ok(Ran { code, stderr: b"first\nthe reason\n".to_vec(), ..Ran::default() })
        }
    }

    fn instance(recipes: &[&str]) -> Instance {
        let recipes: Vec<_> =
            recipes.iter().map(|r| json!({"path": r, "mode": 0, "digest": format!("of {r}")})).collect();
        serde_json::from_value(json!({
            "name": "a", "of": "a", "driver": "lxd", "image": {"name": "i", "digest": "d"}, "hostname": "a",
            "nics": [], "restart": "always", "hosts": "x", "running": true, "recipes": recipes,
        }))
        .unwrap()
    }

    #[test]
    fn each_is_run_once_and_in_order() {
        let mut fake = Fake::default();
        assert_eq!(run(&instance(&["b", "a"]), &mut fake).unwrap(), None);
        assert_eq!(run(&instance(&["b", "a", "c"]), &mut fake).unwrap(), None);
        assert_eq!(fake.cooked, ["of b", "of a", "of c"]);
    }

    #[test]
    fn the_first_that_fails_says_why_and_is_tried_again() {
        let mut fake = Fake { fails: "of b", ..Fake::default() };
        let why = run(&instance(&["a", "b", "c"]), &mut fake).unwrap();
        assert_eq!(why.as_deref(), Some("recipe b ended with 3: the reason"));
        fake.fails = "";
        assert_eq!(run(&instance(&["a", "b", "c"]), &mut fake).unwrap(), None);
        assert_eq!(fake.cooked, ["of a", "of b", "of b", "of c"]);
    }
}
