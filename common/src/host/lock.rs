//! The lock of one stack on one host: two runs exclude each other, a dead run excludes nobody.

use crate::failure::{Failure, Kind};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held until dropped; the kernel releases it when the process dies (flock(2)).
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl Lock {
    /// Takes the lock of `stack` for `tool`, or fails at once.
    ///
    /// # Errors
    /// Kind `Again` when another run holds it, naming its process; `Denied` or `Failed` when /run/lsx cannot be written.
    pub fn take(stack: &str, tool: &str) -> Result<Lock, Failure> {
        Lock::take_at(Path::new("/run/lsx"), stack, tool)
    }

    /// The same below another folder.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn take_at(root: &Path, stack: &str, tool: &str) -> Result<Lock, Failure> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(root)
            .map_err(|e| super::file::failure(root, "make", &e))?;
        let path = root.join(format!("{stack}.{tool}.lock"));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|e| super::file::failure(&path, "open", &e))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut held) => {
                let _ = held.set_len(0);
                let _ = writeln!(held, "{}", std::process::id());
                Ok(Lock(held))
            }
            Err((mut file, _)) => Err(busy(&mut file, stack, tool)),
        }
    }
}

fn busy(file: &mut File, stack: &str, tool: &str) -> Failure {
    let mut holder = String::new();
    let _ = file.rewind();
    let _ = file.read_to_string(&mut holder);
    let who = match holder.trim() {
        "" => "another run".to_owned(),
        pid => format!("process {pid}"),
    };
    Failure::new(Kind::Again, "host.locked", format!("{who} is changing stack {stack} with lsx-{tool}"))
        .hint("wait for it to end and run the same command again")
}
