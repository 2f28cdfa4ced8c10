//! Logins, from the file `docker login` writes. They are sent and never shown.

use crate::image::refused;
use common::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A login: the value of an `Authorization: Basic` header.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login(String);

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login")
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
}

impl Login {
    /// The login for a host, where the file has one.
    pub(super) fn find(path: Option<&Path>, host: &str) -> Result<Option<Login>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let Some(text) = common::host::file::read(path)? else { return Ok(None) };
        let config: Config = serde_json::from_str(&text).map_err(|e| {
            // What serde says may quote the file, which holds passwords: line and column must do.
            let place = format!("{}:{}:{}", path.display(), e.line(), e.column());
            refused("login", format!("{place}: not a file of docker's logins"))
        })?;
        let hub = ["https://index.docker.io/v1/", "index.docker.io", "docker.io"];
        let mine = |key: &str| {
            let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
            bare == host || (host == "docker.io" && hub.contains(&key))
        };
        let found = config.auths.into_iter().find(|(key, auth)| mine(key) && !auth.auth.is_empty());
        let good = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
        match found {
            Some((key, auth)) if !auth.auth.chars().all(good) => {
                Err(refused("login", format!("{}: the login for {key} is damaged", path.display())))
            }
            found => Ok(found.map(|(_, auth)| Login(auth.auth))),
        }
    }

    pub(super) fn header(&self) -> String {
        format!("Basic {}", self.0)
    }
}
