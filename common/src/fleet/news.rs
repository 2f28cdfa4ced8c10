//! Failed steps, which the controller sends to all hosts while their requests run.

use crate::host::limit;
use crate::host::wait::FAILED_MOST;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// A message of the controller while a request runs: a step has failed on one of the hosts. It gets no reply.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    pub(super) news: Failed,
}

/// See [`News`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) host: String,
    pub(super) step: String,
    pub(super) why: String,
}

impl News {
    /// The beginning of such a line; no request begins like this.
    pub(super) const BEGINS: &str = "{\"news\":";

    /// The message for an event of a host; `None` unless the event is the end of a failed step.
    pub(super) fn of(host: &str, event: &Value) -> Option<String> {
        let step = event["step"].as_str().filter(|_| event["phase"] == "do" && event["ok"] == false)?;
        let why = event["failure"]["message"].as_str().unwrap_or("it failed");
        let news = Failed { host: host.to_owned(), step: limit::text(step), why: limit::text(why) };
        serde_json::to_string(&News { news }).ok()
    }
}

/// Sends an event of one host to all hosts, if it is a failed step.
pub(super) fn tell(news: &watch::Sender<Vec<String>>, host: &str, event: &Value) {
    if let Some(line) = News::of(host, event).filter(|_| news.borrow().len() < FAILED_MOST) {
        news.send_modify(|all| all.push(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_that_failed_is_news() {
        let event =
            json!({"step": "instance.create:db", "phase": "do", "ok": false, "failure": {"message": "no"}});
        let line = News::of("h2", &event).unwrap();
        assert!(line.starts_with(News::BEGINS), "{line}");
        let news: News = serde_json::from_str(&line).unwrap();
        assert_eq!(
            news.news,
            Failed { host: "h2".into(), step: "instance.create:db".into(), why: "no".into() }
        );
        for event in [
            json!(1),
            json!({"step": "a", "phase": "do", "ok": true}),
            json!({"step": "a", "phase": "undo", "ok": false}),
        ] {
            assert_eq!(News::of("h2", &event), None);
        }
    }
}
