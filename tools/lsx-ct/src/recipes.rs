//! Recipes: scripts that the instance's shell runs once, in order, after the first start; the same for every engine.

use crate::driver::Ran;
use crate::model::{Done, Instance, Recipe, Value};
use crate::paths;
use crate::ready::{Why, ended};
use common::host::{file, limit};
use common::{Failure, Kind};

/// The shell for recipes: it reads from standard input, and stops at the first command that fails.
pub(crate) const SHELL: [&str; 2] = ["/bin/sh", "-e"];

/// The operations of an engine for the recipes of one instance.
pub(crate) trait RecipeRunner {
    /// Those that have been run.
    fn done(&self) -> Result<Vec<Done>, Failure>;

    /// Records those that have been run; the record is lost when the instance is recreated.
    fn note(&mut self, done: &[Done]) -> Result<(), Failure>;

    /// The text of a recipe.
    fn text(&self, digest: &str) -> Result<Vec<u8>, Failure>;

    /// The value of a secret of the stack.
    fn secret(&self, name: &str) -> Result<Vec<u8>, Failure>;

    /// Runs [`SHELL`] in the instance, as its user and in its working directory.
    fn cook(&mut self, recipe: &Recipe, script: &Script) -> Result<Ran, Failure>;
}

/// The input of the shell: the values of a recipe as variables, then its text.
pub(crate) struct Script {
    pub(crate) text: Vec<u8>,
    /// Values that are masked in its output.
    secrets: Vec<Vec<u8>>,
}

/// Replaces a secret in the output of a recipe.
const MASK: &[u8] = b"***";

impl Script {
    /// The variables are put before its first line, in that line, so that the shell's line numbers match the file. The shell
    /// expands them; no value is ever executed as a part of the script.
    fn new(recipe: &Recipe, text: &[u8], runner: &dyn RecipeRunner) -> Result<Script, Failure> {
        let mut script = Script { text: Vec::new(), secrets: Vec::new() };
        for (name, value) in &recipe.values {
            let value = match value {
                Value::Text(text) => text.clone().into_bytes(),
                Value::Secret { secret, .. } => {
                    let value = bare(runner.secret(secret)?);
                    script.secrets.push(value.clone());
                    value
                }
            };
            if value.contains(&0) {
                let message = format!("recipe {}: the value of {name} has a zero byte", recipe.path);
                return Err(Failure::new(Kind::Data, "ct.recipe.value", message)
                    .hint("give it as a secret of the instance: it appears at /run/secrets"));
            }
            script.text.extend([b"export ", name.as_bytes(), b"='"].concat());
            script.text.extend(quoted(&value));
            script.text.extend(b"'; ");
        }
        script.text.extend(text);
        Ok(script)
    }

    /// Its output, without the secrets.
    pub(crate) fn masked(&self, ran: Ran) -> Ran {
        let mask = |mut text: Vec<u8>| {
            self.secrets.iter().for_each(|secret| text = replaced(&text, secret));
            text
        };
        Ran { stdout: mask(ran.stdout), stderr: mask(ran.stderr), ..ran }
    }
}

/// Without the newlines at its end, like `$(...)` of a shell.
fn bare(mut value: Vec<u8>) -> Vec<u8> {
    while value.last() == Some(&b'\n') {
        value.pop();
    }
    value
}

/// A text for single quotes in a shell.
fn quoted(value: &[u8]) -> Vec<u8> {
    value.iter().flat_map(|byte| if *byte == b'\'' { b"'\\''".to_vec() } else { vec![*byte] }).collect()
}

fn replaced(text: &[u8], secret: &[u8]) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), text);
    if secret.is_empty() {
        return text.to_vec();
    }
    while let Some(at) = rest.windows(secret.len()).position(|part| part == secret) {
        all.extend(&rest[..at]);
        all.extend(MASK);
        rest = &rest[at + secret.len()..];
    }
    all.extend(rest);
    all
}

/// Those of the given names that are words of a text, as a variable or otherwise.
pub(crate) fn named<'a>(text: &[u8], names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let text = String::from_utf8_lossy(text);
    let words: std::collections::BTreeSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    names.filter(|name| words.contains(name.as_str())).collect()
}

/// A secret of a stack, as stored on this host.
pub(crate) fn secret(stack: &str, name: &str) -> Result<Vec<u8>, Failure> {
    file::read_at_most(&paths::secret(stack, name), limit::SECRET)?.ok_or_else(|| {
        Failure::new(Kind::Failed, "ct.recipe.secret", format!("secret {name} is not on this host"))
            .hint("run `lsx-ct up` with the stack's document")
    })
}

/// Runs the remaining ones until one fails; returns its error, or `None` when all have succeeded. A failed one is run again
/// from the start by the next attempt.
///
/// # Errors
/// If one could not be run at all, or not be recorded.
pub(crate) fn run(instance: &Instance, runner: &mut dyn RecipeRunner) -> Result<Why, Failure> {
    if instance.recipes.is_empty() {
        return Ok(None);
    }
    let mut done = runner.done()?;
    for recipe in instance.recipes_left(&done) {
        let script = Script::new(recipe, &runner.text(&recipe.digest)?, runner)?;
        let ran = script.masked(runner.cook(recipe, &script)?);
        if ran.code != 0 {
            return Ok(Some(ended(&format!("recipe {}", recipe.path), &ran)));
        }
        done.push(Done { recipe: recipe.clone(), at: Some(common::log::now()) });
        runner.note(&done)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Default)]
    struct Fake {
        done: Vec<Done>,
        cooked: Vec<String>,
        fails: &'static str,
    }

    impl RecipeRunner for Fake {
        fn done(&self) -> Result<Vec<Done>, Failure> {
            Ok(self.done.clone())
        }

        fn note(&mut self, done: &[Done]) -> Result<(), Failure> {
            self.done = done.to_vec();
            Ok(())
        }

        fn text(&self, digest: &str) -> Result<Vec<u8>, Failure> {
            Ok(digest.as_bytes().to_vec())
        }

        fn secret(&self, name: &str) -> Result<Vec<u8>, Failure> {
            Ok(format!("it's {name}\n\n").into_bytes())
        }

        fn cook(&mut self, _: &Recipe, script: &Script) -> Result<Ran, Failure> {
            let text = String::from_utf8_lossy(&script.text).into_owned();
            let code = if text.ends_with(self.fails) && !self.fails.is_empty() { 3 } else { 0 };
            self.cooked.push(text);
            let stderr = b"first\nthe reason: it's db!\n".to_vec();
            Ok(Ran { code, stderr, ..Ran::default() })
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
        assert_eq!(why.as_deref(), Some("recipe b ended with 3: the reason: it's db!"));
        fake.fails = "";
        assert_eq!(run(&instance(&["a", "b", "c"]), &mut fake).unwrap(), None);
        assert_eq!(fake.cooked, ["of a", "of b", "of b", "of c"]);
    }

    #[test]
    fn values_are_variables_and_secrets_are_never_told() {
        let mut fake = Fake { fails: "of a", ..Fake::default() };
        let mut wanted = instance(&["a"]);
        let secret = Value::Secret { secret: "db".to_owned(), digest: "d".to_owned() };
        wanted.recipes[0].values = [("pw", secret), ("text", Value::Text("$(rm -r /) `x`".to_owned()))]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        let why = run(&wanted, &mut fake).unwrap();
        assert_eq!(fake.cooked, ["export pw='it'\\''s db'; export text='$(rm -r /) `x`'; of a"]);
        assert_eq!(why.as_deref(), Some("recipe a ended with 3: the reason: ***!"));
        fake.fails = "";
        run(&wanted, &mut fake).unwrap();
        assert_eq!(wanted.recipes_left(&fake.done), Vec::<&Recipe>::new());
        wanted.recipes[0].values.remove("text");
        assert_eq!(wanted.recipes_left(&fake.done).len(), 1, "with other values it is another recipe");
    }

    #[test]
    fn a_name_is_a_whole_word() {
        let names = ["pw", "master", "other"].map(str::to_owned);
        let named = |text: &str| {
            super::named(text.as_bytes(), names.iter()).into_iter().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named("echo ${pw}\nx=$master"), "pw master");
        assert_eq!(named("pws my_pw others"), "");
    }
}
