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
    /// Recipes by what they are called among `files`: those of `defaults.values` that they name.
    pub named: BTreeMap<String, Vec<String>>,
    /// Secrets by name: digest of the value, and where it is read.
    pub secrets: BTreeMap<String, (String, String)>,
    /// The OCI runtime that somebody wants for what is made; else the first that works.
    pub runtime: Option<String>,
}

/// Where a recipe may lie, beside the document, the first that is there counting: its path; or its name below `recipes`, beside the
/// document, and, as LStacker had them, below `recipes` in the folder of the image's distribution, or of that and its version. An image
/// called DISTRIBUTION-VERSION tells both.
pub fn recipe(name: &str, image: Option<&str>) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let mut all = vec![format!("{RECIPES}/{name}"), name.to_owned()];
    let versioned = |(_, version): &(&str, &str)| version.starts_with(|c: char| c.is_ascii_digit());
    if let Some((distribution, version)) = image.and_then(|image| image.rsplit_once('-')).filter(versioned) {
        all.push(format!("{RECIPES}/{distribution}/{name}"));
        all.push(format!("{RECIPES}/{distribution}/{version}/{name}"));
    }
    all
}

/// What such a recipe is called among the files that were gathered.
pub fn recipe_key(name: &str, image: Option<&str>) -> String {
    recipe(name, image).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_looked_for_where_the_original_did() {
        let all = |name, image| recipe(name, image).join(" ");
        assert_eq!(all("a/b", Some("ubuntu-16.04")), "a/b");
        assert_eq!(all("b", None), "recipes/b b");
        assert_eq!(all("b", Some("busybox")), "recipes/b b");
        assert_eq!(all("b", Some("my-app")), "recipes/b b");
        assert_eq!(all("b", Some("ubuntu-16.04")), "recipes/b b recipes/ubuntu/b recipes/ubuntu/16.04/b");
    }
}
