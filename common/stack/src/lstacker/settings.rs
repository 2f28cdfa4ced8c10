//! Settings for all containers: keys, proxy, values for recipes, monitoring.

use super::{Import, ours};
use crate::decode::outside::{proxy_url, site};
use crate::decode::{At, Table, hint, string};
use crate::model::{Monitoring, Proxy, RecipeValue};
use crate::tree::NOWHERE;
use crate::value::login;

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

    /// LStacker configured it for logins and package managers if its state was yes.
    fn proxy(&mut self, at: At<'_, '_>) -> Option<()> {
        let table = at.table()?;
        let state = table
            .get("state", |at| at.word(&[("yes", true), ("true", true), ("no", false), ("false", false)]));
        let (http, https) = (table.get("http_url", proxy_url), table.get("https_url", proxy_url));
        table.finish();
        let proxy = Proxy { http, https, except: Vec::new() };
        self.stack.defaults.proxy = Some(proxy).filter(|proxy| state == Some(true) && !proxy.is_empty());
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

    /// Mistakes are warnings, and the key is left out.
    pub(super) fn monitoring(&mut self, at: At<'_, '_>) -> Option<()> {
        let table = at.telling(self.soft).table()?;
        table.get("type", |at| at.word(&[("omd", ())]));
        let known = |key: &'static str, what: &str, names: &[&str]| {
            table.get(key, |at| {
                let name = at.text()?;
                let own = ours(name);
                if !names.contains(&name) && !names.contains(&own.as_str()) {
                    let message = format!("there is no {what} `{name}`");
                    at.mistake("lstacker.monitoring", message, hint(name, names.iter().copied()));
                    return None;
                }
                Some(own)
            })
        };
        let networks: Vec<&str> = self.networks.keys().map(String::as_str).collect();
        let servers: Vec<&str> = self.servers.iter().map(|server| server.key.as_str()).collect();
        let containers: Vec<&str> = self.stack.instances.keys().map(String::as_str).collect();
        let network = known("network", "network", &networks);
        known("server", "server", &servers);
        let instance = known("container", "container", &containers);
        let site = table.get("name", |at| at.parse(site));
        table.finish();
        self.stack.monitoring = Some(Monitoring { network, port: None, instance, site });
        Some(())
    }
}
