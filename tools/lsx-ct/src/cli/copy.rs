//! `cp`: copies files and folders into or out of an instance.

use super::act::ask;
use super::targets::{OnArgs, Targets, Where, targets};
use crate::Ct;
use crate::act::{Order, Piece, Ran};
use crate::driver::Exec;
use crate::parcel::{self, Keep, Unfinished};
use crate::render::values::INIT;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use common::cli::Global;
use common::{Failure, Failures, Kind, log, signal};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

/// Flags of `cp`.
#[derive(Debug, Args)]
pub(super) struct CopyArgs {
    /// Source: NAME:PATH in an instance, or PATH on this machine; a folder is copied with its contents
    #[arg(value_name = "FROM")]
    from: String,
    /// Target: an existing folder to copy into, or the new name
    #[arg(value_name = "TO")]
    to: String,
    #[command(flatten)]
    on: OnArgs,
}

/// One instance, and its host.
struct There {
    place: Where,
    targets: Targets,
}

pub(super) fn copy(tool: &Ct, args: &CopyArgs, global: &Global) -> Result<(), Failures> {
    let there = |name: &str| -> Result<There, Failures> {
        let (place, targets) = targets(tool, &args.on, &[name.to_owned()], global)?;
        let place = match place {
            Where::Fleet(host_set) => Where::Fleet(Box::new(host_set.renewing())),
            here @ Where::Here => here,
        };
        match targets.values().flatten().count() {
            1 => Ok(There { place, targets }),
            _ => Err(usage("cp copies from or to one instance, and this pattern matches several").into()),
        }
    };
    if args.from == "-" || args.to == "-" {
        let message = "cp copies files and folders, not standard input or output";
        return Err(Failure::new(Kind::Usage, "usage.cp", message)
            .hint("lsx-ct exec --plain db -- cat PATH prints a file; a file named - is ./-")
            .into());
    }
    match (inside(&args.from), inside(&args.to)) {
        (Some((name, path)), None) => Ok(there(name)?.out(path, Path::new(&args.to))?),
        (None, Some((name, path))) => Ok(there(name)?.into_it(Path::new(&args.from), path)?),
        _ => {
            Err(usage("exactly one of FROM and TO must be NAME:PATH, the other a path on this machine")
                .into())
        }
    }
}

fn usage(message: &str) -> Failure {
    Failure::new(Kind::Usage, "usage.cp", message).hint(
        "example: lsx-ct cp db:/etc/hosts . ; write a path on this machine that has a colon as ./FILE:NAME",
    )
}

/// `NAME:PATH` or `STACK/NAME:PATH`; a local path with a colon must begin with a dot or a slash.
fn inside(text: &str) -> Option<(&str, &str)> {
    let (name, path) = text.split_once(':')?;
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-/".contains(c);
    let known =
        !path.is_empty() && name.chars().all(good) && name.starts_with(|c: char| c.is_ascii_lowercase());
    known.then_some((name, path))
}

/// The last part of its path.
fn base(path: &Path) -> String {
    path.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned())
}

impl There {
    fn out(mut self, path: &str, to: &Path) -> Result<(), Failures> {
        let target = parcel::place(to, &base(Path::new(path)));
        let failed = |e: std::io::Error| Failure::new(Kind::Failed, "ct.cp", e.to_string());
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let (unpacked, ran) = std::thread::scope(|scope| {
            let unpacks = scope.spawn(|| parcel::unpack(&target, reader, Keep::Unnamed));
            let writer = Mutex::new(writer);
            let said = Mutex::new(Vec::new());
            let hear = |_: &str, event| {
                let Ok(Piece { stream, bytes, .. }) = serde_json::from_value(event) else { return };
                let bytes = STANDARD.decode(bytes).unwrap_or_default();
                if stream == "stdout" {
                    // The thread that unpacks reports its own error.
                    let _ = writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes);
                } else {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = 4096_usize.saturating_sub(said.len());
                    said.extend(bytes.into_iter().take(room));
                }
            };
            let argv = ["pack", path];
            let ran = self.run(&argv, Vec::new(), Some(&hear));
            drop(writer);
            let said = String::from_utf8_lossy(&said.into_inner().unwrap_or_default()).into_owned();
            (unpacks.join(), ran.map(|ran| Ran { stderr: said + &ran.stderr, ..ran }))
        });
        let ran = ran?;
        let panicked = |_| Failure::new(Kind::Bug, "ct.cp", "unpacking ended unexpectedly");
        let unpacked = unpacked.map_err(panicked).flatten();
        well(&ran)?;
        let unpacked = unpacked?;
        unpacked.unfinished.map_or(Ok(()), Unfinished::finish)?;
        told(unpacked.skipped);
        for line in ran.stderr.lines() {
            let line = line.trim_start_matches("lsx-ct: ").trim_start_matches("warning: ");
            log::warning(&format!("{}: {line}", ran.instance));
        }
        Ok(())
    }

    fn into_it(mut self, from: &Path, path: &str) -> Result<(), Failures> {
        let ran = self.run(&["place", path, &base(from)], Vec::new(), None)?;
        well(&ran)?;
        let target = ran.stdout;
        // After an interrupt, what is unfinished there is removed; a second one ends this at once.
        let interrupted = signal::noted();
        let mut left = String::new();
        let packed = parcel::pack(from, &mut |part| {
            if interrupted.load(Ordering::Relaxed) {
                return Err(Failure::new(Kind::Failed, "ct.cp", "interrupted"));
            }
            let ran = self.run(&["unpack", &target], part, None).map_err(first)?;
            well(&ran)?;
            left = ran.stdout;
            Ok(())
        });
        if packed.is_err() && !left.is_empty() {
            let _ = self.run(&["abandon", &left], Vec::new(), None);
        }
        told(packed?);
        Ok(())
    }

    /// Runs lsx's own program in the instance, so that links are resolved there.
    fn run(
        &mut self,
        argv: &[&str],
        input: Vec<u8>,
        hear: Option<super::act::Hear<'_>>,
    ) -> Result<Ran, Failures> {
        let argv = [INIT, "parcel"].iter().chain(argv).map(|word| (*word).to_owned()).collect();
        let exec = Exec {
            argv,
            input,
            user: Some("0:0".to_owned()),
            workdir: Some("/".to_owned()),
            ..Exec::default()
        };
        let order = |targets| Order { exec: exec.clone(), hear: hear.is_some(), ..Order::to(targets) };
        let name = |ran: &mut Ran, host| ran.host = host;
        let (ran, failed) = ask(&mut self.place, "exec", self.targets.clone(), order, name, hear);
        stands(failed).verdict()?;
        ran.into_iter().next().ok_or_else(|| {
            Failure::new(Kind::Failed, "ct.cp", "the host sent no result for the instance").into()
        })
    }
}

/// The failures of a host that went away, with what there is of the copy now.
fn stands(failed: Failures) -> Failures {
    let gone = |failure: &Failure| ["fleet.lost", "fleet.deadline"].contains(&failure.code.as_str());
    let hint = "complete files have been copied, all others are as before; run the same cp again when the host answers";
    let told = |failure: Failure| if gone(&failure) { failure.hint(hint) } else { failure };
    Failures(failed.0.into_iter().map(told).collect())
}

fn first(failures: Failures) -> Failure {
    failures
        .0
        .into_iter()
        .next()
        .unwrap_or_else(|| Failure::new(Kind::Bug, "ct.cp", "failed without a reason"))
}

fn told(skipped: parcel::Skipped) {
    if skipped > 0 {
        log::warning(&format!("{skipped} not copied: neither file, folder nor link"));
    }
}

fn well(ran: &Ran) -> Result<(), Failure> {
    if ran.ok {
        return Ok(());
    }
    let name = &ran.instance;
    if ran.code == Some(127) {
        let message = format!("{name} does not contain lsx's program for copying");
        return Err(Failure::new(Kind::Failed, "ct.cp", message).hint(format!(
            "a whole system in LXD or Incus has it if this lsx-ct or a later one created or changed it; otherwise use tar: lsx-ct exec --plain --on {name} -- tar -C FOLDER -cf - NAME | tar -xf -"
        )));
    }
    if ran.code == Some(137) {
        let message = format!("{name}: the program that copies was killed");
        let hint = format!(
            "its memory counts towards the instance's limit: lsx-ct top {name} shows how much is in use"
        );
        return Err(Failure::new(Kind::Failed, "ct.cp", message).hint(hint));
    }
    let said = ran.stderr.trim().trim_start_matches("lsx-ct: ");
    Err(Failure::new(
        Kind::Failed,
        "ct.cp",
        format!("{name}: {}", said.lines().next().unwrap_or("copying failed")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_here_is_no_instance() {
        assert_eq!(inside("db:/etc/hosts"), Some(("db", "/etc/hosts")));
        assert_eq!(inside("office/db-1:x"), Some(("office/db-1", "x")));
        for here in ["/etc/a:b", "./a:b", "a", "C:", "Db:/x", "a b:/x"] {
            assert_eq!(inside(here), None, "{here}");
        }
        assert_eq!((base(Path::new("/etc/")), base(Path::new("/"))), ("etc".to_owned(), "root".to_owned()));
    }
}
