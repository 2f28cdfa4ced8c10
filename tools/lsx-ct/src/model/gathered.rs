//! What the document names beside itself, as it was read on the operator's machine.

use super::Image;
use common::stack::Driver;
use std::collections::BTreeMap;

/// Where a recipe without a path lies, beside the document.
const RECIPES: &str = "recipes";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Images by the document's name for them and the driver.
    pub images: BTreeMap<(String, Driver), Image>,
    /// Files by the document's name: digest, and mode on the operator's disk.
    pub files: BTreeMap<String, (String, u32)>,
    /// Secrets by name: digest of the value, and where it is read.
    pub secrets: BTreeMap<String, (String, String)>,
    /// The OCI runtime that somebody wants for what is made; else the first that works.
    pub runtime: Option<String>,
}

/// The file of a recipe: its path, or its name below `recipes`.
pub fn recipe(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{RECIPES}/{name}") }
}
