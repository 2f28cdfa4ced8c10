//! A user namespace with an instance's own ids, for shifting its folders.

use crate::model::Ids;
use common::{Failure, Kind};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

/// The namespace of these ids. A helper process creates it, and exits once it is open: only a
/// process with a single thread can create one, and the map is written from outside.
///
/// # Errors
/// If the kernel has no user namespaces, or root may not create any.
pub(super) fn namespace(ids: Ids) -> Result<OwnedFd, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(Kind::Failed, "ct.oci.users", format!("cannot create a user namespace: {e}"))
    };
    let mut holder = crate::net::holder(&[])?;
    let made = ready(&mut holder.stdout).and_then(|()| {
        let process = format!("/proc/{}", holder.id());
        let map = format!("0 {} {}\n", ids.first, ids.size);
        for kind in ["uid_map", "gid_map"] {
            File::options().write(true).open(format!("{process}/{kind}"))?.write_all(map.as_bytes())?;
        }
        Ok(OwnedFd::from(File::open(format!("{process}/ns/user"))?))
    });
    drop(holder.stdin.take()); // it ends when its input is closed
    let _ = holder.wait();
    made.map_err(failed)
}

fn ready(output: &mut Option<std::process::ChildStdout>) -> std::io::Result<()> {
    let mut byte = [0];
    match output.as_mut().map(|pipe| pipe.read(&mut byte)) {
        Some(Ok(1)) => Ok(()),
        Some(Err(e)) => Err(e),
        _ => Err(std::io::Error::other("the kernel refused it (see user_namespaces(7))")),
    }
}

/// The verb `hold`: creates a user or network namespace, reports that, and ends with its input.
///
/// # Errors
/// If the kernel refuses it.
pub(crate) fn hold(net: bool) -> Result<(), Failure> {
    let kind = if net { CloneFlags::CLONE_NEWNET } else { CloneFlags::CLONE_NEWUSER };
    unshare(kind)
        .map_err(|e| Failure::new(Kind::Failed, "ct.hold", format!("cannot create a namespace: {e}")))?;
    common::stdio::write(b"\n")?;
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
