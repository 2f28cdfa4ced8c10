//! What a controller tells hosts while their requests run: the steps that have failed on any of them.

use crate::host::limit;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// The maximum number of failed steps of one request that hosts are told of.
const MOST: usize = 1000;

/// What a controller says while a request runs: a step has failed on one of the hosts. There is no reply to it.
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
    /// How such a line begins, and no request.
    pub(super) const BEGINS: &str = "{\"news\":";

    /// The line about an event of a host, where it is the end of a step that failed.
    pub(super) fn of(host: &str, event: &Value) -> Option<String> {
        let step = event["step"].as_str().filter(|_| event["phase"] == "do" && event["ok"] == false)?;
        let why = event["failure"]["message"].as_str().unwrap_or("it failed");
        let news = Failed { host: host.to_owned(), step: limit::text(step), why: limit::text(why) };
        serde_json::to_string(&News { news }).ok()
    }
}

/// Tells all hosts about an event of one of them, if it is a failed step.
pub(super) fn tell(news: &watch::Sender<Vec<String>>, host: &str, event: &Value) {
    if let Some(line) = News::of(host, event).filter(|_| news.borrow().len() < MOST) {
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
