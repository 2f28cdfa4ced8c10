//! Reads the output of a host, which may be any bytes: within limits, line by line, until the reply to a request.

use super::budget::{Budget, Charge};
use super::wire::Reply;
use crate::host::limit;
use crate::{Failure, Failures, Kind};
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;

/// The channel for the events of all hosts. It is small: a host that sends more waits until they are handled.
pub(super) type Events = mpsc::Sender<(String, Value, Charge)>;

/// The number of events that can wait in it.
pub(super) const WAITING: usize = 256;

/// The stream of a session.
pub(super) type From = BufReader<Box<dyn AsyncRead + Send + Unpin>>;

/// Reads until the reply, and passes events on. What the reply takes is charged until `held` is dropped.
pub(super) async fn reply(
    reader: &mut From,
    name: &str,
    events: &Events,
    (budget, held): (&Arc<Budget>, &mut Vec<Charge>),
    heard: &(dyn Fn() + Sync),
) -> Result<Value, Failures> {
    let mut left = limit::EVENTS;
    loop {
        let mut charge = Charge::none(budget, name);
        let line = line(reader, &mut charge).await?;
        heard();
        // One that no host may send is not a matter of what others take.
        if !limit::values(&line) {
            return Err(garbage("a line has too many values").into());
        }
        let mut values = Charge::none(budget, name);
        values.at_least(line.len() as u64 + limit::memory(&line))?;
        let reply = understood(&line)?;
        drop((line, charge));
        match reply {
            Reply::Event(event) if left > 0 => {
                left -= 1;
                let _ = events.send((name.to_owned(), event, values)).await;
            }
            Reply::Event(_) => return Err(garbage("it sends too many events").into()),
            Reply::Ok(value) => {
                held.push(values);
                return Ok(value);
            }
            Reply::Failures(failures) => return Err(clipped(failures)),
            Reply::Hello(_) => {}
        }
    }
}

/// Reads one line, charging for it while it grows.
async fn line(reader: &mut From, charge: &mut Charge) -> Result<Vec<u8>, Failure> {
    let mut line = Vec::new();
    loop {
        let piece = match reader.fill_buf().await {
            Ok(piece) if !piece.is_empty() => piece,
            _ => return Err(Failure::new(Kind::Failed, LOST, "the session ended before it replied")),
        };
        let end = piece.iter().position(|byte| *byte == b'\n');
        let most = end.map_or(piece.len(), |end| end + 1);
        let length = (line.len() + most) as u64;
        if length >= limit::LINE {
            return Err(garbage("a line exceeds the size limit"));
        }
        // A growing buffer may be twice as large as its content.
        charge.at_least(2 * length)?;
        line.extend_from_slice(&piece[..most]);
        reader.consume(most);
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// Parses one line of a host, which may be any bytes.
fn understood(line: &[u8]) -> Result<Reply, Failure> {
    // serde_json itself stops at 128 levels.
    match serde_json::from_slice(line) {
        Ok(Reply::Failures(failures)) if failures.is_empty() => {
            Err(garbage("it reported a failure without a message"))
        }
        Ok(reply) => Ok(reply),
        Err(error) => Err(garbage(&error.to_string())),
    }
}

/// The failures reported by a host, cut to a number and length that a person can read.
fn clipped(mut failures: Vec<Failure>) -> Failures {
    let all = failures.len();
    failures.truncate(limit::FAILURES);
    failures.iter_mut().for_each(clip);
    if let Some(last) = failures.last_mut().filter(|_| all > limit::FAILURES) {
        last.causes.push(format!("{} more failures are not shown", all - limit::FAILURES));
    }
    Failures(failures)
}

/// Cuts every text of a failure from elsewhere to a readable length.
fn clip(failure: &mut Failure) {
    let cut = |text: &mut String| *text = limit::text(text);
    [&mut failure.code, &mut failure.message]
        .into_iter()
        .chain(&mut failure.host)
        .chain(&mut failure.hint)
        .for_each(cut);
    failure.causes.truncate(limit::LINES);
    failure.causes.iter_mut().for_each(cut);
    if let Some(at) = &mut failure.at {
        [&mut at.file, &mut at.path, &mut at.text].into_iter().for_each(cut);
    }
    if let Some(program) = &mut failure.program {
        program.argv.truncate(limit::LINES);
        program.output.truncate(limit::LINES);
        program.argv.iter_mut().chain(&mut program.output).chain([&mut program.status]).for_each(cut);
    }
}

/// The host does not speak this protocol: it is broken, or another program answers there.
pub(super) fn garbage(why: &str) -> Failure {
    Failure::new(Kind::Unreachable, GARBAGE, "the host's answer is malformed").because(limit::text(why)).hint(
        "another program may answer there, or the host has bad memory or a bad disk; log in by ssh and check",
    )
}

/// The code of a session that broke.
pub(super) const LOST: &str = "fleet.lost";
/// The code of a session that did not follow the protocol.
pub(super) const GARBAGE: &str = "fleet.garbage";

/// Parses a host's answer.
///
/// # Errors
/// Kind `Unreachable` if it is malformed: the host is faulty, or another program answers.
pub fn shape<A: serde::de::DeserializeOwned>(value: Value) -> Result<A, Failure> {
    serde_json::from_value(value).map_err(|e| garbage(&e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::ended::Stderr;
    use super::super::session::{End, Session};
    use super::WAITING;
    use super::*;
    use serde_json::json;
    use tokio::sync::{mpsc, watch};

    /// The result of one request when the host sends these bytes.
    fn asked(said: &[u8]) -> Result<Value, Failures> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (events, mut incoming) = mpsc::channel(WAITING);
            let (_keep, cancel) = watch::channel(false);
            let (_news, news) = watch::channel(Vec::new());
            let end = End::Thread(std::thread::spawn(|| {}));
            let said = std::io::Cursor::new(said.to_vec());
            let mut session = Session::new(said, tokio::io::sink(), Stderr::default(), end);
            let (request, budget) = (json!({}), Arc::new(Budget::new(1)));
            tokio::select! {
                result = session.request(&request, "h1", &events, &cancel, (news, &budget, false)) => result,
                () = async { while incoming.recv().await.is_some() {} } => unreachable!(),
            }
        })
    }

    #[test]
    fn whatever_a_host_says_is_69_and_no_bug() {
        let deep = format!("{{\"ok\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
        let many = format!("{{\"ok\":[{}0]}}\n", "0,".repeat(5_000_000));
        let bytes = [b"{\"ok\":\"".as_slice(), &[0xff, 0, 0x1b], b"\"}\n"].concat();
        let rest: [&[u8]; 6] = [
            b"\n",
            b"null\n",
            b"{}\n",
            b"{\"ok\":1,\"failures\":[]}\n",
            b"{\"failures\":[]}\n",
            b"{\"failures\":[{\"code\":7}]}\n",
        ];
        for said in rest.into_iter().chain([deep.as_bytes(), many.as_bytes(), &bytes]) {
            let failures = asked(said).unwrap_err();
            assert_eq!((failures.0[0].code.as_str(), failures.exit()), (GARBAGE, 69), "{:.60?}", said);
        }
        assert_eq!(asked(b"{\"ok\":1}\n").unwrap(), json!(1));
        assert_eq!(asked(b"{\"ok\":1}").unwrap_err().0[0].code, LOST);
    }

    #[test]
    fn a_line_without_an_end_is_read_to_its_limit_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let failures = runtime.block_on(async {
            let (events, _incoming) = mpsc::channel(WAITING);
            let boxed: Box<dyn AsyncRead + Send + Unpin> = Box::new(tokio::io::repeat(b'x'));
            let budget = (&Arc::new(Budget::new(1)), &mut Vec::new());
            reply(&mut BufReader::new(boxed), "h1", &events, budget, &|| {}).await.unwrap_err()
        });
        assert_eq!(failures.0[0].code, GARBAGE);
    }

    #[test]
    fn failures_are_as_many_and_as_long_as_a_person_can_read() {
        let one = Failure::new(Kind::Failed, "x.y", "m".repeat(limit::TEXT * 2));
        let failures = clipped(vec![one; limit::FAILURES + 5]);
        assert_eq!(failures.0.len(), limit::FAILURES);
        assert!(failures.0.iter().all(|f| f.message.len() <= limit::TEXT + 3));
        assert!(failures.0.last().unwrap().causes[0].starts_with("5 more"));
    }
}
