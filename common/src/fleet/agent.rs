//! The host's side of the protocol: reads requests, runs the tool's handler, writes events and replies; synchronous.

use super::news::News;
use super::prune;
use super::wire::{Hello, PRUNE, Reply};
use crate::host::{limit, wait};
use crate::{Failure, Failures, Kind};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// A tool's answer to one request. It gets the request, a place to send events to, and the cancel flag: once that is set it
/// undoes what it began and returns; its reply is still written.
pub type Handler<'a> =
    &'a dyn Fn(Value, &mut (dyn FnMut(Value) + Send), &AtomicBool) -> Result<Value, Failures>;

/// The number of requests that wait while one runs. A controller sends the next one after the reply to the last.
const WAITING: usize = 1;

/// Serves requests until the input ends. `tool` is the name sent in the hello. A handler that panics answers with a `bug`
/// failure. `{"op":"prune","dir":D}` is handled here: it removes old tool copies under D.
///
/// When the input ends during a request, the cancel flag is set. When the output is closed, the running request is finished
/// first, so that a change is not left half done when the controller dies.
///
/// # Errors
/// When the output cannot be written, or the reader thread cannot be started; kind `Data` when a request could not be read.
pub fn agent(
    tool: &str,
    input: impl Read + Send + 'static,
    output: impl Write + Send,
    handler: Handler<'_>,
) -> Result<(), Failure> {
    let mut output = Output { to: BufWriter::new(output), broken: None };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let root = nix::unistd::geteuid().is_root();
    let size = std::fs::metadata("/proc/self/exe").map_or(0, |file| file.len());
    output.say(&Reply::Hello(Hello { tool: tool.to_owned(), version, size, root }));
    let cancel = Arc::new(AtomicBool::new(false));
    let lines = read(input, Arc::clone(&cancel))?;
    let mut malformed = None;
    while let Ok(line) = lines.recv() {
        let reply = match understood(&line) {
            Ok(request) => answer(request, handler, &mut output, &cancel),
            Err(failure) => Reply::Failures(vec![malformed.insert(failure).clone()]),
        };
        output.say(&reply);
        if output.broken.is_some() {
            break;
        }
    }
    match output.broken {
        None => malformed.map_or(Ok(()), Err),
        Some(error) => {
            Err(Failure::new(Kind::Failed, "fleet.wire", "the connection to the operator's machine was lost")
                .because(error))
        }
    }
}

/// Parses a request. Its bytes are checked first, because any program may be connected to the input.
fn understood(line: &[u8]) -> Result<Value, Failure> {
    let malformed = |message: String| {
        Failure::new(Kind::Data, "fleet.wire", message).hint(
            "requests come from lsx itself; if no other program is connected here, report this as a bug",
        )
    };
    if !line.ends_with(b"\n") {
        return Err(malformed(limit::exceeded("a request", limit::LINE).message));
    }
    if !limit::values(line) {
        return Err(malformed("a request has too many values".to_owned()));
    }
    // serde_json itself stops at 128 levels.
    serde_json::from_slice(line).map_err(|e| malformed("a request is not JSON".to_owned()).because(e))
}

/// Reads lines in a separate thread, so that the end of the input is noticed while a request runs. A line that is too long is
/// the last.
fn read(
    input: impl Read + Send + 'static,
    cancel: Arc<AtomicBool>,
) -> Result<mpsc::Receiver<Vec<u8>>, Failure> {
    let (sender, lines) = mpsc::sync_channel(WAITING);
    let body = move || {
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            // A line cut off by the end of the input is no request: the controller stopped while writing it.
            match (&mut input).take(limit::LINE).read_until(b'\n', &mut line) {
                Ok(_) if line.starts_with(News::BEGINS.as_bytes()) => {
                    if let Ok(News { news }) = serde_json::from_slice(&line) {
                        let why = limit::text(&format!("on {}: {}", news.host, news.why));
                        wait::note_failed(limit::text(&news.step), why);
                    }
                }
                Ok(_) if line.ends_with(b"\n") => {
                    wait::forget_failed();
                    if sender.send(line).is_err() {
                        break;
                    }
                }
                Ok(_) => {
                    if line.len() as u64 >= limit::LINE {
                        let _ = sender.send(line);
                    }
                    break;
                }
                Err(_) => break,
            }
        }
        cancel.store(true, Ordering::SeqCst);
    };
    let started = std::thread::Builder::new().name("fleet-read".into()).spawn(body);
    started.map_err(|e| Failure::new(Kind::Failed, "fleet.thread", "cannot start a thread").because(e))?;
    Ok(lines)
}

fn answer<W: Write + Send>(
    request: Value,
    handler: Handler<'_>,
    output: &mut Output<W>,
    cancel: &AtomicBool,
) -> Reply {
    if request["op"] == PRUNE {
        let dir = Path::new(request["dir"].as_str().unwrap_or_default());
        return reply(
            prune::under(dir, &prune::ENTRIES.map(Path::new)).map(|removed| json!({ "removed": removed })),
        );
    }
    let mut event = |value| output.say(&Reply::Event(value));
    match catch_unwind(AssertUnwindSafe(|| handler(request, &mut event, cancel))) {
        Ok(result) => reply(result),
        Err(panic) => reply(Err(bug(panic.as_ref()).into())),
    }
}

fn reply(result: Result<Value, Failures>) -> Reply {
    match result {
        Ok(value) => Reply::Ok(value),
        Err(failures) => Reply::Failures(failures.0),
    }
}

fn bug(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Failure::new(Kind::Bug, "fleet.panic", "the tool panicked").because(text.unwrap_or_default())
}

/// The reply stream. After the first error all output is dropped: the change continues without a reader.
struct Output<W: Write> {
    to: BufWriter<W>,
    broken: Option<std::io::Error>,
}

impl<W: Write> Output<W> {
    fn say(&mut self, reply: &Reply) {
        if self.broken.is_some() {
            return;
        }
        let line = match serde_json::to_vec(reply) {
            Ok(line) if line.len() as u64 + 1 < limit::LINE => Ok(line),
            // Longer than its reader accepts. An event of that size is not worth failing the run.
            Ok(_) if matches!(reply, Reply::Event(_)) => return,
            Ok(_) => serde_json::to_vec(&Reply::Failures(vec![limit::exceeded("the answer", limit::LINE)])),
            Err(error) => Err(error),
        };
        let written = line.map_err(std::io::Error::from).and_then(|line| {
            self.to.write_all(&line)?;
            self.to.write_all(b"\n")?;
            self.to.flush()
        });
        self.broken = written.err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    fn said(input: &'static str, handler: Handler<'_>) -> Vec<Value> {
        let mut out = Vec::new();
        let _ = agent("lsx-x", input.as_bytes(), &mut out, handler);
        String::from_utf8(out).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    #[test]
    fn hello_events_and_one_reply_per_line() {
        let lines = said("{\"op\":\"a\"}\n{\"op\":\"b\"}\nno\n{\"op\":\"cut\"}", &|request, event, _| {
            event(json!(1));
            if request["op"] == "b" {
                return Err(Failure::new(Kind::Data, "x.y", "no").into());
            }
            Ok(request)
        });
        assert_eq!(lines[0]["hello"]["tool"], "lsx-x");
        assert_eq!(lines[1..4], [json!({"event": 1}), json!({"ok": {"op": "a"}}), json!({"event": 1})]);
        assert_eq!(lines[4]["failures"][0]["code"], "x.y");
        assert_eq!(lines[5]["failures"][0]["code"], "fleet.wire");
        assert_eq!(lines.len(), 6);
    }

    #[test]
    fn whatever_comes_in_is_refused_with_words() {
        let deep = format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        let many = format!("[{}0]\n", "0,".repeat(5_000_000));
        let refused = |input: Box<dyn Read + Send>, words: &str| {
            let mut out = Vec::new();
            let failure = agent("lsx-x", input, &mut out, &|_, _, _| Ok(json!(1))).unwrap_err();
            assert_eq!((failure.kind, failure.code.as_str()), (Kind::Data, "fleet.wire"), "{failure}");
            assert!(failure.message.contains(words), "{failure}");
            let out = String::from_utf8(out).unwrap();
            assert!(
                out.lines().any(|line| line.starts_with("{\"failures\"") && line.contains(words)),
                "{out}"
            );
            out.lines().count()
        };
        for (line, words) in [(deep, "not JSON"), (many, "too many values"), ("\0\n".into(), "JSON")] {
            let next = [line.as_bytes(), b"{}\n"].concat();
            assert_eq!(refused(Box::new(std::io::Cursor::new(next)), words), 3, "the session goes on");
        }
        assert_eq!(refused(Box::new(std::io::repeat(b'x')), "64 MiB"), 2, "and ends here");
    }

    #[test]
    fn a_panic_is_a_bug_and_the_session_lives() {
        let lines = said("{\"op\":\"a\"}\n{\"op\":\"b\"}\n", &|request, _, _| match request["op"].as_str() {
            Some("a") => panic!("oh"),
            _ => Ok(json!(2)),
        });
        assert_eq!(lines[1]["failures"][0]["kind"], "bug");
        assert_eq!(lines[1]["failures"][0]["causes"], json!(["oh"]));
        assert_eq!(lines[2], json!({"ok": 2}));
    }

    #[test]
    fn the_end_of_the_input_cancels() {
        let lines = said("{\"op\":\"a\"}\n", &|_, _, cancel| {
            let start = Instant::now();
            while !cancel.load(Ordering::SeqCst) {
                assert!(start.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
            Ok(json!("undone"))
        });
        assert_eq!(lines[1], json!({"ok": "undone"}));
    }

    #[test]
    fn a_broken_output_does_not_stop_the_change() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let steps = Mutex::new(0);
        let handler = |_: Value, event: &mut (dyn FnMut(Value) + Send), _: &AtomicBool| {
            for n in 0..3 {
                event(json!(n));
                *steps.lock().unwrap() += 1;
            }
            Ok(json!(null))
        };
        let failure = agent("x", b"{}\n".as_slice(), Broken, &handler).unwrap_err();
        assert_eq!((failure.code.as_str(), *steps.lock().unwrap()), ("fleet.wire", 3));
    }
}
