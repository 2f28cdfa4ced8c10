//! Secrets and configs: files of the operator's machine.

use super::volumes::Given;
use super::{At, Import, each, items, text, truth, under};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Import<'_> {
    /// The section `secrets` or `configs`: the file of each.
    pub(super) fn sources(&self, at: At<'_, '_>, what: &str) -> BTreeMap<String, Option<String>> {
        let mut all = BTreeMap::new();
        each(at, |name, at| {
            let file = under(at, "file");
            if at.child("external").is_some_and(truth) {
                self.lose(
                    at,
                    format!("{what} `{name}` is stored in Docker, so its value is not known"),
                    "write it to a file, and use file: FILE",
                );
            } else if file.is_none() {
                let hint = "write it to a file that only you can read, and use file: FILE";
                self.lose(at, format!("{what} `{name}` is not a file"), hint);
            }
            all.insert(name.to_owned(), file);
        });
        all
    }

    pub(super) fn secrets(&mut self, at: At<'_, '_>) -> Option<Value> {
        let mut all = Vec::new();
        items(at, |at| {
            let Some(name) = self.named(at, "secret") else { return };
            if let Some(target) = under(at, "target")
                && target.rsplit('/').next() != Some(&*name)
            {
                self.differs(
                    at,
                    format!("secret `{name}` appears as /run/secrets/{name}, not as {target}"),
                    "",
                );
            }
            let mut map = Map::from_iter([("name".to_owned(), json!(name))]);
            map.extend(owner(at).map(|owner| ("owner".to_owned(), json!(owner))));
            map.extend(under(at, "mode").map(|mode| ("mode".to_owned(), json!(mode))));
            all.push(if map.len() == 1 { json!(name) } else { Value::Object(map) });
            self.granted.insert(name);
        });
        (!all.is_empty()).then_some(Value::Array(all))
    }

    pub(super) fn configs(&self, at: At<'_, '_>, given: &mut Given) {
        items(at, |at| {
            let Some(name) = self.named(at, "config") else { return };
            let Some(source) = self.configs.get(&name).cloned().flatten() else { return };
            let target = under(at, "target").unwrap_or_else(|| format!("/{name}"));
            let mut map = Map::from_iter([("source".to_owned(), json!(source))]);
            map.extend(owner(at).map(|owner| ("owner".to_owned(), json!(owner))));
            map.extend(under(at, "mode").map(|mode| ("mode".to_owned(), json!(mode))));
            given.files.insert(target, if map.len() == 1 { json!(source) } else { Value::Object(map) });
        });
    }

    /// The name of the secret or config of an entry, if it has a file.
    fn named(&self, at: At<'_, '_>, what: &str) -> Option<String> {
        let name = text(at).or_else(|| under(at, "source"))?;
        let known = if what == "secret" { &self.secrets } else { &self.configs };
        match known.get(&name) {
            Some(Some(_)) => return Some(name),
            Some(None) => {} // already reported at its definition
            None => self.lose(at, format!("{what} `{name}` is not defined"), ""),
        }
        None
    }
}

/// `uid` and `gid` as an owner of lsx.
fn owner(at: At<'_, '_>) -> Option<String> {
    match (under(at, "uid"), under(at, "gid")) {
        (None, None) => None,
        (uid, gid) => Some(format!(
            "{}:{}",
            uid.unwrap_or_else(|| "0".to_owned()),
            gid.unwrap_or_else(|| "0".to_owned())
        )),
    }
}
