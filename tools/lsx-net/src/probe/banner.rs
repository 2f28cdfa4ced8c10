//! The banner of a TCP service: what it sends first, up to a newline.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::dial::dial;
use super::names::ScopedIp;
use super::outcome::{Outcome, State, ms};
use super::problem::Problem;
use super::target::{Banner, Target};
use super::tcp;

/// Connects, sends `send`, reads the first line, compares.
pub(super) fn probe(target: &Target, banner: &Banner, place: ScopedIp) -> Outcome {
    let began = Instant::now();
    let deadline = began + Duration::from_millis(target.timeout_ms);
    let mut dialed = dial(&tcp::dial_of(target, place, banner.port));
    let Some(mut socket) = dialed.socket.take() else {
        return tcp::outcome(target, &dialed);
    };
    let mut line = Vec::new();
    let result =
        say(&mut socket, banner, deadline).and_then(|()| read_line(&mut socket, banner, deadline, &mut line));
    let mut outcome = judge(target, &line, result);
    outcome.ms = Some(ms(began.elapsed()));
    outcome
}

fn say(socket: &mut Socket, banner: &Banner, deadline: Instant) -> io::Result<()> {
    let Some(text) = &banner.send else {
        return Ok(());
    };
    socket.set_write_timeout(Some(left(deadline)?))?;
    socket.write_all(text.as_bytes())
}

/// Reads until a newline, the end, `max_bytes` or the deadline; the end is no error.
fn read_line(socket: &mut Socket, banner: &Banner, deadline: Instant, line: &mut Vec<u8>) -> io::Result<()> {
    let most = banner.max_bytes as usize;
    let mut buffer = [0; 4096];
    while line.len() < most {
        socket.set_read_timeout(Some(left(deadline)?))?;
        let room = buffer.len().min(most - line.len());
        let bytes = match socket.read(&mut buffer[..room]) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let fresh = &buffer[..bytes];
        if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
            line.extend(&fresh[..=end]);
            return Ok(());
        }
        line.extend(fresh);
    }
    Ok(())
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left)
}

fn judge(target: &Target, line: &[u8], result: io::Result<()>) -> Outcome {
    if line.is_empty() {
        let problem = match result {
            Ok(()) => Problem::new("connected, but the service closed without sending anything"),
            Err(error) if late(&error) => {
                Problem::new(format!("connected, but the service sent nothing in {} ms", target.timeout_ms))
                    .hint("a service that waits for a request needs `send`, or a probe of kind tcp or http")
            }
            Err(error) => Problem::new(format!("connected, then {error}")),
        };
        let mut outcome = Outcome::failed(target, State::Silent, problem);
        outcome.bytes_read = Some(0);
        return outcome;
    }
    // A line cut off by the deadline is still a banner: some services never send a newline.
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let mut outcome = match target.expect.banner_problem(text) {
        Some(problem) => Outcome::failed(target, State::Unexpected, problem),
        None => Outcome::new(target, State::Answered),
    };
    outcome.banner = Some(text.to_owned());
    outcome.bytes_read = Some(line.len() as u64);
    outcome
}

fn late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}
