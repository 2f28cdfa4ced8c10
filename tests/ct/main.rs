//! lsx-ct without hosts: golden cases with the program, properties with the library.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test stops at the first surprise")]

mod compose;
mod golden;
mod inventory;
mod laws;
mod simulate;
mod soak;

use common::stack::{Driver, Only, ReadOptions, RecipeValue, read, resolve};
use common::tool::{Goal, ObservedOf, PlanInput, Risk};
use common::{Failures, document};
use lsx_ct::Ct;
use lsx_ct::model::{Gathered, Image, recipe_key};
use lsx_tests::Tool;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What hosts have, by name.
type Hosts = BTreeMap<String, ObservedOf<Ct>>;

fn tool() -> Tool {
    Tool { name: lsx_ct::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-ct")) }
}

/// The input for `up` of a stack. Images and files are identified by name, so that no store is needed.
fn plan_input(text: &str) -> Result<PlanInput<Gathered>, Failures> {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default())?;
    let resolved = resolve(&stack)?;
    let mut gathered = Gathered::default();
    let digest = |text: &str| document::digest(text.as_bytes());
    for instance in stack.instances.values() {
        let name = instance.image.clone().unwrap_or_default();
        let form = stack.images.get(&name).and_then(|i| i.oci.clone()).unwrap_or_else(|| name.clone());
        for driver in [Driver::Oci, Driver::Lxd, Driver::Incus] {
            let image = Image { name: name.clone(), digest: digest(&form) };
            gathered.images.insert((name.clone(), driver), image);
        }
        let files = instance.files.values().map(|f| f.source.clone());
        let keys = Some(stack.ssh_keys(instance).join("\n")).filter(|k| !k.is_empty());
        let recipes = instance.recipes.iter().map(|r| recipe_key(r, instance.image.as_deref()));
        for source in files.chain(keys).chain(recipes).chain(instance.cloud_init.clone()) {
            gathered.files.insert(source.clone(), (digest(&source), 0o644));
        }
        for recipe in &instance.recipes {
            let names = stack.defaults.values.keys().cloned().collect();
            gathered.named.insert(recipe_key(recipe, instance.image.as_deref()), names);
        }
        let told = stack.defaults.values.values().filter_map(|value| match value {
            RecipeValue::Secret(secret) => Some(secret),
            RecipeValue::Text(_) => None,
        });
        for secret in instance.secrets.iter().map(|granted| &granted.name).chain(told) {
            gathered.secrets.insert(secret.clone(), (digest(secret), format!("/secrets/{secret}")));
        }
    }
    let (name, goal) = (stack.name.clone(), Goal::Up(Box::new(stack), Box::new(resolved)));
    Ok(PlanInput {
        stack: name,
        goal,
        only: Only::default(),
        prune: true,
        yes: true,
        accepted: vec![Risk::Move],
        destroy_data: false,
        gathered,
        hosts: Vec::new(),
    })
}
