//! Requests to the server's file helper (`forkfile`), a program that the server runs for each instance whose files are read or
//! written. The first request starts it; it ends 15 s after the last one, and when its instance starts, stops or is removed.

use super::client::{ANSWER, Client, Refused};
use super::image::encode;
use common::host::wait;
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::{Method, Response};

/// How long a request is repeated while the helper is just ending, and the interval.
const ENDING: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(100);
/// How long nothing is asked after a helper has lost its socket, the first and the second time. It lives 15 s without requests.
const PAUSES: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(40)];
/// What stands for the reason of a failed HEAD, which has none: it may always be the helper's.
const SILENT: &str = "no answer about a file";
/// Interval of checks whether the run is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Repeats a request while the helper is not available, which says nothing about the file.
pub(super) fn steady<T>(ask: impl FnMut() -> Result<T, Refused>) -> Result<T, Refused> {
    steady_with(ask, |pause| {
        if pause > AGAIN {
            wait::tell(|| "the server's file helper has lost its socket and has to end first".to_owned());
        }
        !wait::until(pause, LOOK.min(pause), wait::cancelled)
    })
}

/// The same with a function that waits, and returns whether the request is to be repeated.
fn steady_with<T>(
    mut ask: impl FnMut() -> Result<T, Refused>,
    mut rest: impl FnMut(Duration) -> bool,
) -> Result<T, Refused> {
    let mut pauses = PAUSES.iter();
    let mut end = Instant::now() + ENDING;
    loop {
        let answer = ask();
        let pause = match &answer {
            Err(refused) if lost(refused) => pauses.next(),
            Err(refused) if ours(refused) => Some(&AGAIN).filter(|_| Instant::now() < end),
            _ => None,
        };
        let Some(pause) = pause else { return answer };
        if !rest(*pause) {
            return answer;
        }
        if *pause > AGAIN {
            end = Instant::now() + ENDING;
        }
    }
}

fn ours(refused: &Refused) -> bool {
    refused.says("forkfile") || refused.says(SILENT)
}

/// Whether a helper runs without its socket. It is a fault of both servers (LXD before 6.9, Incus before 7.3): they address the
/// socket by the number of an open folder, `/proc/self/fd/N/forkfile.sock`, and remove it by that name when the helper ends;
/// by then N can be the folder of another instance, whose helper is just being started. Each request after that waits for
/// the end of the helper before, which takes 15 s and removes the socket of the next one. So asking at once makes it last for
/// ever, and a pause without requests ends it.
fn lost(refused: &Refused) -> bool {
    ours(refused) && refused.says("connect: no such file")
}

/// Whether the file is missing. LXD 5 reports it as 404, 500 or 400, depending on the version; the message is the same.
pub(super) fn absent(refused: &Refused) -> bool {
    let words = ["does not exist", "no such file", "not found", "Not Found"];
    refused.missing() || !ours(refused) && words.iter().any(|w| refused.says(w))
}

/// The request for a file of an instance.
pub(super) fn at(engine: &str, path: &str) -> String {
    format!("/1.0/instances/{engine}/files?path={}", encode(path))
}

impl Client {
    /// The answer to HEAD for a file; `None` if there is none. An error has no text there: the list of the root's files is
    /// requested, which fails with a reason if it is the helper's, and brings it back otherwise.
    pub(super) fn head(&self, path: &str) -> Result<Option<Response<Body>>, Refused> {
        let ask = || self.call(Method::HEAD, path, &[], (), ANSWER);
        let known = |response: &Response<Body>| matches!(response.status().as_u16(), 200 | 404);
        let mut response = ask()?;
        if !known(&response) {
            let files = path.split_once('?').map_or(path, |(files, _)| files);
            self.bytes(&format!("{files}?path=%2F"))?;
            response = ask()?;
        }
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            404 => Ok(None),
            code => Err(Refused::Status(code, format!("HEAD {path}"), SILENT.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: &str = "dial unix /proc/self/fd/29/forkfile.sock: connect: no such file or directory";
    const ENDS: &str = "read unix @->/proc/self/fd/29/forkfile.sock: read: connection reset by peer";

    fn said(words: &str) -> Refused {
        Refused::Status(500, "POST /1.0/instances/s-a/files?path=%2F".to_owned(), words.to_owned())
    }

    /// Answers with these errors, then with 7; returns the answer and the pauses.
    fn asked(errors: &[&str], again: bool) -> (Result<u8, Refused>, Vec<Duration>) {
        let (mut errors, mut pauses) = (errors.iter(), Vec::new());
        let answer = steady_with(
            || errors.next().map_or(Ok(7), |words| Err(said(words))),
            |pause| {
                pauses.push(pause);
                again
            },
        );
        (answer, pauses)
    }

    #[test]
    fn a_helper_that_ends_is_asked_again_at_once_and_one_without_a_socket_later() {
        for words in [LOST, ENDS] {
            assert!(!absent(&said(words)), "it says nothing about the file");
        }
        assert!(absent(&said("open /etc/x: no such file or directory")));
        let (answer, pauses) = asked(&[ENDS, ENDS, LOST, ENDS], true);
        assert_eq!((answer.unwrap(), pauses), (7, vec![AGAIN, AGAIN, PAUSES[0], AGAIN]));
        let (answer, pauses) = asked(&[LOST; 3], true);
        assert!(lost(&answer.unwrap_err()), "not for ever");
        assert_eq!(pauses, PAUSES);
        for errors in [[ENDS], [LOST]] {
            assert!(ours(&asked(&errors, false).0.unwrap_err()), "a run that is to stop waits no more");
        }
        let (answer, pauses) = asked(&[LOST, SILENT, SILENT, LOST], true);
        assert_eq!((answer.unwrap(), pauses), (7, vec![PAUSES[0], AGAIN, AGAIN, PAUSES[1]]));
        let (answer, pauses) = asked(&["no space left on device"], true);
        assert!(answer.is_err() && pauses.is_empty());
    }
}
