//! Reads the files of the authority, of the root and of certificates on this host. Reads only.

use crate::chain::{self, ders};
use crate::model::{Authority, AuthoritySeen, Certificate, CertificateSeen, RootSeen, State};
use crate::places;
use crate::read::{self, Read};
use common::host::file;
use common::log;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::UnixTime;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The largest of these files that is read.
pub(crate) const MOST: u64 = 256 * 1024;
/// Certificates begin so many seconds before they are made, since clocks differ.
pub(crate) const EARLIER: u64 = 300;

/// Seconds since 1970, by the clock of this machine.
pub(crate) fn now() -> u64 {
    UnixTime::now().as_secs()
}

/// A state other than valid, and why.
pub(crate) type Wrong = (State, String);

/// The certificates of a file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Read>, Wrong> {
    let bytes = bytes(path)?;
    read::certificates(&bytes).map_err(|why| (State::Damaged, format!("{}: {why}", path.display())))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Wrong> {
    match file::read_at_most(path, MOST) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err((State::Missing, format!("{} is missing", path.display()))),
        Err(failure) => Err((State::Damaged, failure.message)),
    }
}

/// A key that root alone can read.
pub(crate) fn key(path: &Path) -> Result<KeyPair, Wrong> {
    let there = path.symlink_metadata();
    if let Ok(there) = &there {
        if !there.is_file() {
            return Err((State::Damaged, format!("{} is no file", path.display())));
        }
        if there.permissions().mode() & 0o077 != 0 || there.uid() != 0 {
            return Err((State::Open, format!("others than root can use {}", path.display())));
        }
    }
    let bytes = bytes(path)?;
    let text = String::from_utf8(bytes).ok();
    let read = text.and_then(|text| KeyPair::from_pem(&text).ok());
    read.ok_or_else(|| (State::Damaged, format!("{} is no key", path.display())))
}

/// The keys and certificates of an authority.
pub(crate) struct Opened {
    pub(crate) root_key: KeyPair,
    pub(crate) root: Read,
    pub(crate) key: KeyPair,
    pub(crate) issuer: Read,
}

/// Opens the authority of a stack.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn open(stack: &str) -> Result<Opened, Wrong> {
    let folder = places::authority(stack);
    let one = |name: &str| -> Result<Read, Wrong> {
        let path = folder.join(name);
        let mut all = certificates(&path)?;
        let more = || (State::Damaged, format!("{} has several certificates", path.display()));
        if all.len() > 1 { Err(more()) } else { all.pop().ok_or_else(more) }
    };
    let (root, issuer) = (one(places::ROOT_CERT)?, one(places::ISSUER_CERT)?);
    let (root_key, key) = (key(&folder.join(places::ROOT_KEY))?, key(&folder.join(places::ISSUER_KEY))?);
    for (key, of) in [(&root_key, &root), (&key, &issuer)] {
        if key.der_bytes() != of.point {
            let why = format!("key and certificate of {} do not belong together", of.subject);
            return Err((State::Damaged, why));
        }
    }
    Ok(Opened { root_key, root, key, issuer })
}

/// The authority of a stack on this host; none if there is none.
pub(crate) fn authority(stack: &str) -> Option<(Authority, AuthoritySeen)> {
    let folder = places::authority(stack);
    if folder.symlink_metadata().is_err() {
        return None;
    }
    let mut seen = AuthoritySeen {
        stack: stack.to_owned(),
        path: folder.display().to_string(),
        ..AuthoritySeen::default()
    };
    let mut all = Authority {
        name: stack.to_owned(),
        names: Vec::new(),
        networks: Vec::new(),
        life_s: 0,
        root_life_s: 0,
        state: State::Valid,
    };
    match open(stack) {
        Err((state, why)) => (all.state, seen.why) = (state, Some(why)),
        Ok(Opened { root, issuer, .. }) => {
            seen.sha256 = root.sha256();
            (seen.root_not_after, seen.not_after) = (log::at(root.not_after), log::at(issuer.not_after));
            let life = |of: &Read| of.not_after.saturating_sub(of.not_before).saturating_sub(EARLIER);
            (all.life_s, all.root_life_s) = (life(&issuer), life(&root));
            (all.names, all.networks) = root.permits.clone();
            all.name.clone_from(&issuer.subject);
            if let Err((state, why)) = in_time(&root, false).and_then(|()| in_time(&issuer, true)) {
                (all.state, seen.why) = (state, Some(why));
            }
        }
    }
    Some((all, seen))
}

/// Whether its time has begun, is not over, and, where it is renewed, will not be over soon.
fn in_time(of: &Read, renewed: bool) -> Result<(), Wrong> {
    let now = now();
    let (from, to) = (log::at(of.not_before), log::at(of.not_after));
    match of {
        _ if now < of.not_before => Err((State::Early, format!("{} is not valid before {from}", of.subject))),
        _ if now > of.not_after => Err((State::Expired, format!("{} has expired at {to}", of.subject))),
        _ if renewed && of.due(now) => {
            Err((State::Due, format!("less than a third of its time is left, until {to}")))
        }
        _ => Ok(()),
    }
}

/// The certificate of the root on this host.
pub(crate) fn root(stack: &str) -> Option<(State, RootSeen, Option<Read>)> {
    let path = places::root(stack);
    path.symlink_metadata().ok()?;
    let shown = path.display().to_string();
    let (state, read) = match certificates(&path) {
        Ok(all) if all.len() == 1 => (State::Valid, all.into_iter().next()),
        Ok(_) => (State::Damaged, None),
        Err((state, _)) => (state, None),
    };
    let sha256 = read.as_ref().map(Read::sha256).unwrap_or_default();
    Some((state, RootSeen { stack: stack.to_owned(), path: shown, sha256 }, read))
}

/// The names of certificates on this host.
pub(crate) fn names(stack: &str) -> Vec<String> {
    let entries = std::fs::read_dir(places::certificates(stack)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// A certificate on this host.
pub(crate) fn certificate(stack: &str, name: &str, root: Option<&Read>) -> (Certificate, CertificateSeen) {
    let folder = places::certificate(stack, name);
    let mut seen = CertificateSeen {
        stack: stack.to_owned(),
        name: name.to_owned(),
        path: folder.display().to_string(),
        ..CertificateSeen::default()
    };
    let mut of = Certificate {
        name: name.to_owned(),
        names: Vec::new(),
        addresses: Vec::new(),
        usage: Vec::new(),
        life_s: 0,
        state: State::Valid,
    };
    let result = certificates(&folder.join(places::FULL)).and_then(|all| {
        let Some((leaf, between)) = all.split_first() else { return Ok(()) };
        seen.serial.clone_from(&leaf.serial);
        (seen.not_before, seen.not_after) = (log::at(leaf.not_before), log::at(leaf.not_after));
        (of.names, of.addresses) = (leaf.names.clone(), leaf.addresses.clone());
        of.usage.clone_from(&leaf.usage);
        of.life_s = leaf.not_after.saturating_sub(leaf.not_before).saturating_sub(EARLIER);
        usable(&folder, &all)?;
        in_time(leaf, false)?;
        if let Some(root) = root {
            led(leaf, between, root)?;
            seen.root = root.sha256();
        }
        in_time(leaf, true)
    });
    if let Err((state, why)) = result {
        (of.state, seen.why) = (state, Some(why));
    }
    (of, seen)
}

/// Whether its files belong together, and root alone can use the key.
fn usable(folder: &Path, all: &[Read]) -> Result<(), Wrong> {
    let key = key(&folder.join(places::KEY))?;
    let own = all.first().is_some_and(|leaf| leaf.point == key.der_bytes());
    if !own {
        return Err((
            State::Damaged,
            format!("{}: key and certificate do not belong together", folder.display()),
        ));
    }
    let parts = [(places::CERT, &all[..1]), (places::CHAIN, &all[1..])];
    for (name, wanted) in parts {
        let path = folder.join(name);
        let there = certificates(&path)?;
        if ders(&there) != ders(wanted) {
            return Err((
                State::Damaged,
                format!("{} has something else than {}", path.display(), places::FULL),
            ));
        }
    }
    Ok(())
}

/// Whether it leads to the root now.
fn led(leaf: &Read, between: &[Read], root: &Read) -> Result<(), Wrong> {
    if leaf.others || leaf.usage.is_empty() {
        return Err((State::Foreign, format!("lsx-pki has not made the certificate of {}", leaf.subject)));
    }
    chain::leads(&leaf.der, &ders(between), &root.der, &leaf.usage, now())
        .map_err(|why| (State::Foreign, format!("it does not lead to the root of the stack: {why}")))
}
