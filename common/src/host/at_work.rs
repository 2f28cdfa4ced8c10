//! A call that takes long says from time to time that it is at work.

use serde_json::{Value, json};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How often, so that the deadline of its host counts anew.
const OFTEN: Duration = Duration::from_secs(5);

/// Works, and meanwhile sends empty events.
pub fn alive<T>(event: &(dyn Fn(Value) + Sync), work: impl FnOnce() -> T) -> T {
    let (end, ended) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(OFTEN) == Err(RecvTimeoutError::Timeout) {
                event(json!({}));
            }
        });
        let answer = work();
        drop(end);
        answer
    })
}
