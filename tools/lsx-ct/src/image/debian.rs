//! A Debian system from its packages, created by mmdebstrap(1).

use super::source::Debian;
use super::store::Store;
use common::Failure;
use common::host::Program;
use common::log;
use std::time::{Duration, SystemTime};

/// Files that dpkg does not install in a slim image, also when packages are installed later. Licences are kept.
const SLIM: [&str; 7] = [
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/lintian/*",
];

const DAY: Duration = Duration::from_secs(86_400);

impl Debian {
    /// Its parameters and the day: it is created again on another day, since packages change.
    pub(super) fn key(&self) -> String {
        let now = log::clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("mmdebstrap:{}:{}", self.args("").join(" "), now.as_secs() / DAY.as_secs())
    }

    fn args(&self, target: &str) -> Vec<String> {
        let mut args = vec!["--quiet".to_owned(), "--mode=auto".to_owned(), "--format=tar".to_owned()];
        args.push(format!("--variant={}", self.variant.as_deref().unwrap_or("minbase")));
        if !self.include.is_empty() {
            args.push(format!("--include={}", self.include.join(",")));
        }
        if self.slim {
            args.extend(SLIM.map(|path| format!("--dpkgopt={path}")));
        }
        args.extend([self.suite.clone(), target.to_owned()]);
        args.extend(self.mirror.clone());
        args
    }
}

impl Store {
    /// Creates it and adds it to the store.
    pub(super) fn debian(&self, debian: &Debian) -> Result<String, Failure> {
        let program = Program::new("mmdebstrap");
        program.there().map_err(|e| e.hint("install it: apt-get install mmdebstrap"))?;
        let aside = self.aside()?;
        let target = aside.path().join("rootfs.tar");
        program
            .args(debian.args(&target.to_string_lossy()))
            .run(b"")
            .map_err(|e| e.hint("mmdebstrap needs a package mirror; mirror=URL selects another one"))?;
        self.rootfs(&target, None)
    }
}
