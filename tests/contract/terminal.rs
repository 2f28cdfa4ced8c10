//! A pseudo-terminal for a program that needs one (pty(7)).

use lsx_tests::{Ended, Run};
use nix::pty::openpty;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

/// Which streams of a program are the terminal.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Input,
    Output,
    Story,
}

/// Runs a program on a terminal; returns how it ended and the terminal's content.
pub(crate) fn on_terminal(run: Run, end: End) -> (Ended, String) {
    let pair = openpty(None, None).unwrap();
    let shown = watch(pair.master);
    let ended = match end {
        End::Input => run.stdin(pair.slave),
        End::Output => run.stdout(pair.slave),
        End::Story => run.stderr(pair.slave),
    }
    .end();
    (ended, shown.join().unwrap().replace("\r\n", "\n"))
}

/// Reads until the terminal is closed by all, which is an error (EIO) instead of an end of file.
fn watch(master: OwnedFd) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut master, mut bytes, mut part) = (File::from(master), Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = master.read(&mut part) {
            bytes.extend(&part[..n]);
        }
        String::from_utf8(bytes).unwrap()
    })
}
