//! What the document refers to on the operator's machine, as it was read.

use super::Image;
use common::stack::Driver;
use std::collections::BTreeMap;

/// Folder of recipes without a path, relative to the document.
const RECIPES: &str = "recipes";

/// Images, files and secrets of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Images by name in the document and driver.
    pub images: BTreeMap<(String, Driver), Image>,
    /// The highest user or group id of the files of images, by digest.
    pub highest: BTreeMap<String, u32>,
    /// Files by name in the document: digest, and mode on the operator's disk.
    pub files: BTreeMap<String, (String, u32)>,
    /// The values of `defaults.values` that recipes name, by the recipe's key in `files`.
    pub named: BTreeMap<String, Vec<String>>,
    /// Certificates of authorities as PEM, by file in the document.
    pub authorities: BTreeMap<String, String>,
    /// Secrets by name: digest of the value, and file.
    pub secrets: BTreeMap<String, (String, String)>,
    /// The requested OCI runtime for new instances; default: the first that works.
    pub runtime: Option<String>,
}

/// The possible paths of a recipe, relative to the document; the first that exists is used: its path; or its name below
/// `recipes` or beside the document; or, as in LStacker, below `recipes` in the folder of the image's distribution, or of
/// its version. These are derived from an image name of the form DISTRIBUTION-VERSION.
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

/// The name of such a recipe among the gathered files.
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
