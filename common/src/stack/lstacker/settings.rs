//! Settings for all containers: keys, proxy, values for recipes, monitoring.

use super::Import;
use crate::stack::decode::{At, Table, hint, string};
use crate::stack::model::RecipeValue;
use crate::stack::tree::NOWHERE;
use crate::stack::value::login;

/// How hosts are reached, and who may log in to containers.
#[derive(Default)]
pub(super) struct Access {
    pub(super) user: Option<String>,
    pub(super) key: Option<String>,
    pub(super) keys: Vec<String>,
}

/// Sections with secrets: their lines are not shown.
pub(super) const SECRET: [&str; 4] = ["ldap", "centos", "lxd", "proxy"];

/// Keys of [`VALUES`] that are secrets.
const SECRETS: [&str; 2] = ["ldap_password", "centos_root_password_default"];

/// Sections whose values are only used by recipes, and their keys.
const VALUES: [(&str, &[&str]); 3] = [
    ("ldap", &["password", "domain", "organisation"]),
    ("salt", &["master"]),
    ("centos", &["root_password_default"]),
];

pub(super) fn access(at: At<'_, '_>) -> Option<Access> {
    let table = at.table()?;
    let access = Access {
        user: table.get("username", |at| at.parse(login)),
        key: table.get("private_key_file", string),
        keys: table.get("public_keys", |at| at.many(string)).unwrap_or_default(),
    };
    table.finish();
    Some(access)
}

impl Import<'_> {
    pub(super) fn settings(&mut self, table: &Table<'_, '_>, access: Access) {
        self.stack.defaults.ssh_keys = access.keys;
        table.get("proxy", |at| self.proxy(at));
        // The trust password of LXD, which lsx does not need.
        table.allow("lxd");
        for (section, keys) in VALUES {
            table.get(section, |at| self.values(at.telling(self.soft), section, keys));
        }
    }

    /// The original set four variables in every container.
    fn proxy(&mut self, at: At<'_, '_>) -> Option<()> {
        let table = at.table()?;
        let state = table
            .get("state", |at| at.word(&[("yes", true), ("true", true), ("no", false), ("false", false)]));
        let urls = [("http", table.get("http_url", string)), ("https", table.get("https_url", string))];
        table.finish();
        for (scheme, url) in urls.into_iter().filter(|_| state == Some(true)) {
            let Some(url) = url else { continue };
            self.stack.defaults.env.insert(format!("{scheme}_proxy"), url.clone());
            self.stack.defaults.env.insert(format!("{}_PROXY", scheme.to_ascii_uppercase()), url);
        }
        Some(())
    }

    fn values(&mut self, at: At<'_, '_>, section: &str, keys: &[&'static str]) -> Option<()> {
        let table = at.table()?;
        for key in keys {
            let name = format!("{section}_{key}");
            let value = match SECRETS.contains(&name.as_str()) {
                true => table.get(key, |at| self.secret(at, &name)),
                false => table.get(key, string).map(RecipeValue::Text),
            };
            self.stack.defaults.values.extend(value.map(|value| (name, value)));
        }
        table.finish();
        Some(())
    }

    /// A password stays in the file, which is read again for a recipe that uses it.
    fn secret(&mut self, at: At<'_, '_>, name: &str) -> Option<RecipeValue> {
        at.text()?;
        if at.node.at == NOWHERE {
            let message = "a secret cannot be given by a flag, since other users can see the flags of a running program";
            at.secret("stack.secret.written", message, "write it into the file");
            return None;
        }
        self.stack.secrets.insert(name.to_owned(), format!("yaml:{}#{}", self.file, at.path));
        Some(RecipeValue::Secret(name.to_owned()))
    }

    /// Monitoring needs a later tool, but its mistakes are reported now.
    pub(super) fn monitoring(&self, at: At<'_, '_>) -> Option<()> {
        let table = at.telling(self.soft).table()?;
        table.get("type", |at| at.word(&[("omd", ())]));
        table.get("name", string);
        let known = |key: &'static str, what: &str, names: &[&str]| {
            table.get(key, |at| {
                let name = at.text()?;
                if !names.contains(&name) {
                    let message = format!("there is no {what} `{name}`");
                    at.mistake("lstacker.monitoring", message, hint(name, names.iter().copied()));
                }
                Some(())
            });
        };
        let networks: Vec<&str> = self.networks.keys().map(String::as_str).collect();
        let servers: Vec<&str> = self.servers.iter().map(|server| server.key.as_str()).collect();
        let containers: Vec<&str> = self.stack.instances.keys().map(String::as_str).collect();
        known("network", "network", &networks);
        known("server", "server", &servers);
        known("container", "container", &containers);
        table.finish();
        Some(())
    }
}
