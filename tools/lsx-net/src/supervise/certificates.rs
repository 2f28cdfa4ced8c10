//! The certificates of load balancers: each is taken from its folder on the host, or from a secret, checked with its key, and taken again when
//! a file changes. One that cannot be used does not replace the one before.

use super::Home;
use crate::model::CertificateState;
use crate::render::certificates::{Certificate, listed, read_from};
use common::Failure;
use common::host::Program;
use common::host::file::{self, Mode};
use common::host::received::SECRETS;
use common::tool::Tool;
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file with the certificate and those of the authorities above it.
const CHAIN: &str = "fullchain.pem";
/// Names of the file with the key: as lsx-pki and as certbot write it.
const KEYS: [&str; 2] = ["key.pem", "privkey.pem"];
/// The largest of these files that is read.
const MOST: u64 = 1024 * 1024;

/// The certificates of a configuration.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<Watched>);

/// Identifies a version of each file: device, inode, time of change, size.
type Stamp = Vec<Option<(u64, u64, i64, i64, u64)>>;

#[derive(Debug)]
struct Watched {
    of: Certificate,
    stamp: Stamp,
    state: CertificateState,
}

impl Certificates {
    /// Takes the certificates of a configuration whose files are new or have changed. Returns whether HAProxy has to read
    /// them, and what to log.
    ///
    /// # Errors
    /// If they cannot be stored.
    pub(super) fn take(&mut self, home: &Home, text: &str) -> Result<(bool, Vec<String>), Failure> {
        let all = listed(text);
        self.0.retain(|one| all.contains(&one.of));
        let (mut changed, mut news) = (false, Vec::new());
        for one in all {
            let stamp = stamp(Path::new(&one.folder));
            let known = self.0.iter().position(|old| old.of == one);
            if known.is_some_and(|at| self.0[at].stamp == stamp) {
                continue;
            }
            let (written, state) = taken(home, &one)?;
            changed |= written;
            let why = state.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            news.push(format!("certificate {}: {}{why}", one.folder, state.state));
            let watched = Watched { of: one, stamp, state };
            match known {
                Some(at) => self.0[at] = watched,
                None => self.0.push(watched),
            }
        }
        self.forget(home)?;
        Ok((changed, news))
    }

    /// Removes files of certificates that are not used any more, which have keys.
    fn forget(&self, home: &Home) -> Result<(), Failure> {
        let names: BTreeSet<&str> = self.0.iter().map(|one| one.of.file.as_str()).collect();
        let files = std::fs::read_dir(folder(home)).into_iter().flatten().flatten();
        for file in files.filter(|file| !names.contains(file.file_name().to_string_lossy().as_ref())) {
            file::remove(&file.path())?;
        }
        Ok(())
    }

    /// The files of those that cannot be used.
    pub(super) fn lacking(&self) -> BTreeSet<String> {
        self.0.iter().filter(|one| one.state.state == WAITING).map(|one| one.of.file.clone()).collect()
    }

    /// The state of each.
    pub(super) fn states(&self) -> Vec<CertificateState> {
        self.0.iter().map(|one| one.state.clone()).collect()
    }
}

const USED: &str = "used";
const WAITING: &str = "waiting";
const KEPT: &str = "kept";

fn folder(home: &Home) -> PathBuf {
    PathBuf::from(read_from(&home.stack))
}

/// Takes one: returns whether its file has changed, and its state.
fn taken(home: &Home, one: &Certificate) -> Result<(bool, CertificateState), Failure> {
    let file = folder(home).join(&one.file);
    let (written, state, why) = match pair(Path::new(&one.folder)).and_then(|pair| checked(home, pair)) {
        Ok(pair) => (file::write(&file, &pair, Mode::Private)?, USED, None),
        Err(why) => (false, if file.exists() { KEPT } else { WAITING }, Some(why)),
    };
    let (stack, folder) = (home.stack.clone(), one.folder.clone());
    Ok((written, CertificateState { stack, folder, state: state.to_owned(), why }))
}

/// Whether it is a file with chain and key, and not a folder.
fn secret(folder: &Path) -> bool {
    folder.starts_with(SECRETS)
}

/// The files of a folder that matter; a secret is one itself.
fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let names = std::iter::once(CHAIN).chain(KEYS).map(|name| folder.join(name));
    names.chain([folder.to_owned()].into_iter().filter(|path| secret(path)))
}

fn stamp(folder: &Path) -> Stamp {
    let one = |path: PathBuf| {
        let found = path.metadata().ok()?;
        Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.size()))
    };
    files(folder).map(one).collect()
}

/// Certificate and key as HAProxy reads them, or what is wrong.
fn pair(folder: &Path) -> Result<Vec<u8>, String> {
    let read = |path: &Path| match file::read_at_most(path, MOST) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("{} is missing", path.display())),
        Err(failure) => Err(failure.message),
    };
    if secret(folder) {
        return read(folder);
    }
    let mut pair = read(&folder.join(CHAIN))?;
    let keys = KEYS.map(|name| folder.join(name));
    let key = keys.iter().find(|path| path.exists()).unwrap_or(&keys[0]);
    let bytes = read(key)?;
    let open = key.metadata().is_ok_and(|found| found.permissions().mode() & 0o007 != 0);
    if open {
        return Err(format!("every user of the host can use {0}; chmod 600 {0}", key.display()));
    }
    pair.push(b'\n');
    pair.extend(bytes);
    Ok(pair)
}

/// Lets HAProxy check whether they belong together.
fn checked(home: &Home, pair: Vec<u8>) -> Result<Vec<u8>, String> {
    let (certificate, config) = (home.folder.join("certificate.new"), home.folder.join("certificate.cfg"));
    let text = format!(
        "defaults\n\tmode tcp\n\ttimeout connect 1s\n\ttimeout client 1s\n\ttimeout server 1s\n\
         frontend one\n\tbind 127.0.0.1:443 ssl crt {}\n",
        certificate.display()
    );
    let check = || {
        file::write(&certificate, &pair, Mode::Private)?;
        file::write(&config, text.as_bytes(), Mode::Private)?;
        Program::new("haproxy").args(["-c", "-f"]).args([&config]).run(b"")
    };
    let verdict = check();
    for path in [&certificate, &config] {
        file::remove(path).map_err(|failure| failure.message)?;
    }
    match verdict {
        Ok(_) => Ok(pair),
        Err(failure) => {
            let said = failure.program.map(|program| program.output).unwrap_or_default();
            let line = said.iter().find(|line| line.contains("[ALERT]")).or(said.last());
            let line = line.cloned().unwrap_or(failure.message);
            let line = line
                .rsplit_once(" : ")
                .map_or(line.as_str(), |(_, why)| why)
                .split(" '/")
                .next()
                .unwrap_or_default()
                .to_owned();
            Err(format!("HAProxy does not accept certificate and key: {line}"))
        }
    }
}

/// Removes the secrets of a stack that are not among these.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn forget_secrets(stack: &str, used: &BTreeSet<&str>) -> Result<(), Failure> {
    let folder = Path::new(SECRETS).join(stack).join(crate::Net::NAME);
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    for file in files.filter(|file| !used.contains(file.file_name().to_string_lossy().as_ref())) {
        file::remove(&file.path())?;
    }
    folder.ancestors().take(3).for_each(file::remove_empty);
    Ok(())
}

/// Whether a secret is missing on this host.
pub(super) fn lost(state: &CertificateState) -> bool {
    let path = Path::new(&state.folder);
    secret(path) && !path.exists()
}

/// The certificate itself in a folder, as PEM without the others of its chain, if it can be read.
pub(crate) fn leaf(folder: &str) -> Option<String> {
    let folder = Path::new(folder);
    let file = if secret(folder) { folder.to_owned() } else { folder.join(CHAIN) };
    let bytes = file::read_at_most(&file, MOST).ok()??;
    let text = String::from_utf8(bytes).ok()?;
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let from = text.find(begin)?;
    let to = from + text.get(from..)?.find(end)? + end.len();
    Some(format!("{}\n", text.get(from..to)?))
}
