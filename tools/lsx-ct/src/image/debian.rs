//! A Debian of its packages, made by mmdebstrap(1).

use super::source::Debian;
use super::store::Store;
use common::Failure;
use common::host::Program;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

impl Debian {
    /// Its words and the day: it is made anew when the day is another, since packages are.
    pub(super) fn key(&self) -> String {
        #[expect(
            clippy::disallowed_methods,
            reason = "packages change with time, and this says how often they are asked for"
        )]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("mmdebstrap:{}:{}", self.args("").join(" "), now.as_secs() / DAY.as_secs())
    }

    fn args(&self, target: &str) -> Vec<String> {
        let mut args = vec!["--quiet".to_owned(), "--mode=auto".to_owned(), "--format=tar".to_owned()];
        args.push(format!("--variant={}", self.variant.as_deref().unwrap_or("minbase")));
        if !self.include.is_empty() {
            args.push(format!("--include={}", self.include.join(",")));
        }
        args.extend([self.suite.clone(), target.to_owned()]);
        args.extend(self.mirror.clone());
        args
    }
}

impl Store {
    /// Makes it and brings it.
    pub(super) fn debian(&self, debian: &Debian) -> Result<String, Failure> {
        let program = Program::new("mmdebstrap");
        program.there().map_err(|e| e.hint("apt-get install mmdebstrap"))?;
        let aside = self.aside()?;
        let target = aside.path().join("rootfs.tar");
        program.args(debian.args(&target.to_string_lossy())).run(b"").map_err(|e| {
            e.hint("mmdebstrap needs a mirror of packages that it can reach; mirror=URL names another")
        })?;
        self.rootfs(&target, None)
    }
}
