//! Logins, from the file of `docker login` and its credential helpers. They are sent but never shown.

use super::access::{Access, Login};
use crate::image::{limits, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::Failure;
use common::host::{Program, wait};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Time limit of a helper, which may ask a person for a password.
const HELPER: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 60 });
/// The key of Docker's own registry in such files.
const HUB: [&str; 3] = ["https://index.docker.io/v1/", "index.docker.io", "docker.io"];

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Config {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
}

/// The output of a helper.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    username: String,
    secret: String,
}

/// The login for a host: that of the document, else from the file or a helper named there.
pub(super) fn find(access: &Access, host: &str) -> Result<Option<Login>, Failure> {
    if let Some(login) = access.own(host).and_then(|own| own.login.clone()) {
        return Ok(Some(login));
    }
    let Some(path) = &access.config else { return Ok(None) };
    let Some(text) = common::host::file::read(path)? else { return Ok(None) };
    let config: Config = serde_json::from_str(&text).map_err(|e| {
        // serde's message may quote the file, which has passwords; so only line and column are shown.
        let place = format!("{}:{}:{}", path.display(), e.line(), e.column());
        refused("login", format!("{place}: not a valid file of Docker logins"))
    })?;
    let mine = |key: &str| {
        let bare = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        bare == host || (host == "docker.io" && HUB.contains(&key))
    };
    let own = config.cred_helpers.iter().find(|(key, _)| mine(key)).map(|(_, name)| name.as_str());
    let helper = own.or(Some(config.creds_store.as_str())).filter(|name| !name.is_empty());
    let found = config.auths.iter().find(|(key, auth)| mine(key) && !auth.auth.is_empty());
    match (found, helper) {
        // In Docker's order: the host's own helper, the login in the file, the helper for all.
        (found, Some(name)) if own.is_some() || found.is_none() => helped(access, path, name, host),
        (Some((key, Auth { auth })), _) => {
            let good = |c: char| c.is_ascii_alphanumeric() || "+/=-_".contains(c);
            let damaged = || refused("login", format!("{}: the login for {key} is damaged", path.display()));
            if auth.chars().all(good) { Ok(Some(Login::encoded(auth.clone()))) } else { Err(damaged()) }
        }
        _ => Ok(None),
    }
}

/// Runs a helper: `docker-credential-NAME get`, with the host on its standard input.
fn helped(access: &Access, file: &Path, name: &str, host: &str) -> Result<Option<Login>, Failure> {
    let program = format!("docker-credential-{name}");
    let failed = |why: String| {
        refused("helper", format!("{}: {program} gives no login for {host}", file.display()))
            .because(why)
            .hint("install or repair it, or remove it from credsStore and credHelpers")
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(failed("its name may only contain letters, digits and ._-".to_owned()));
    }
    let server = if host == "docker.io" { HUB[0] } else { host };
    let path = access.helpers.as_ref().map(|folder| folder.join(&program).display().to_string());
    let (code, said) = ask(path.as_deref().unwrap_or(&program), server).map_err(|e| failed(e.message))?;
    let text = String::from_utf8_lossy(&said);
    match code {
        // All helpers report a missing login in this way.
        Some(1) if text.contains("credentials not found") => Ok(None),
        Some(0) => {
            let told: Told = serde_json::from_slice(&said).map_err(|e| {
                failed(format!("its output is malformed (line {}, column {})", e.line(), e.column()))
            })?;
            match told.username.as_str() {
                "<token>" => Err(failed(
                    "it returned an identity token, but only name and password are supported".to_owned(),
                )),
                user => Ok(Some(Login::encoded(STANDARD.encode(format!("{user}:{}", told.secret))))),
            }
        }
        // On failure it prints a message without secrets.
        Some(code) => {
            Err(failed(format!("it exited with {code}: {}", text.lines().next().unwrap_or_default())))
        }
        None => Err(failed(format!("it took longer than {} s", HELPER.as_secs()))),
    }
}

/// Runs it; returns its output and exit code, or nothing when it took too long.
fn ask(program: &str, server: &str) -> Result<(Option<i32>, Vec<u8>), Failure> {
    let failed = |e: std::io::Error| refused("helper", format!("{program}: {e}"));
    // To a file, so that a process which keeps a pipe open does not block.
    let mut out = tempfile::tempfile().map_err(failed)?;
    let stdout = out.try_clone().map_err(failed)?;
    let mut child = Program::new(program).start(Stdio::piped(), stdout.into(), Stdio::null())?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(server.as_bytes());
    }
    let mut ended = None;
    wait::until(HELPER, Duration::from_millis(10), || {
        ended = child.try_wait().ok().flatten();
        ended.is_some()
    });
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
        return Ok((None, Vec::new()));
    }
    let mut said = Vec::new();
    std::io::Seek::rewind(&mut out).map_err(failed)?;
    out.take(limits::ANSWER).read_to_end(&mut said).map_err(failed)?;
    Ok((ended.and_then(|status| status.code()).or(Some(-1)), said))
}

/// Whether a token URL may get the registry's login: the registry itself, or a host of the same domain, as auth.docker.io
/// for docker.io and gitlab.example.com for registry.example.com.
pub(super) fn may_have(realm: &str, registry: &str) -> bool {
    let name = |host: &str| -> String {
        let port = host.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
        port.map_or(host, |(name, _)| name).trim_matches(['[', ']']).to_ascii_lowercase()
    };
    let (realm, registry) = (name(realm), name(registry));
    let domain = |host: &str| -> Option<String> {
        let ip = host.parse::<std::net::IpAddr>().is_ok();
        let labels: Vec<&str> = host.split('.').collect();
        let domain = if labels.len() > 2 { &labels[1..] } else { &labels[..] };
        (!ip && labels.len() > 1).then(|| domain.join("."))
    };
    realm == registry
        || domain(&registry).is_some_and(|own| {
            domain(&realm).as_deref() == Some(own.as_str()) || realm == own || registry == realm
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_to_the_registry_and_to_its_neighbours_alone() {
        let good = [
            ("auth.docker.io", "docker.io"),
            ("gitlab.example.com", "registry.example.com"),
            ("gitlab.com", "registry.gitlab.com"),
            ("ghcr.io", "ghcr.io"),
            ("r.example:5001", "r.example:5000"),
            ("127.0.0.1:9", "127.0.0.1:5000"),
            ("[::1]:9", "[::1]:5000"),
        ];
        for (realm, registry) in good {
            assert!(may_have(realm, registry), "{realm} of {registry}");
        }
        let bad = [
            ("auth.evil.example", "docker.io"),
            ("docker.io.evil.example", "docker.io"),
            ("evildocker.io", "docker.io"),
            ("evil.example", "registry.evil2.example"),
            ("com", "registry.com"),
            ("127.0.0.2", "127.0.0.1"),
            ("10.0.0.1", "11.0.0.1"),
        ];
        for (realm, registry) in bad {
            assert!(!may_have(realm, registry), "{realm} of {registry}");
        }
    }
}
