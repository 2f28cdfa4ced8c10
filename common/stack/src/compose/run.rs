//! The application of an instance: program, environment, dependencies and readiness check.

use super::{At, Import, each, environment, items, text, texts, truth, under};
use crate::decode::hint;
use crate::value::Signal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

impl Import<'_> {
    /// `command` or `entrypoint`: a list, or a text that is split like in a shell.
    pub(super) fn words(&self, at: At<'_, '_>) -> Option<Value> {
        let Some(line) = text(at) else { return Some(json!(texts(at))).filter(|words| words != &json!([])) };
        match shlex::split(&line) {
            Some(words) if !words.is_empty() => Some(json!(words)),
            Some(_) => None,
            None => {
                at.mistake("compose.words", "unclosed quote".to_owned(), "write a list of words".to_owned());
                None
            }
        }
    }

    /// `env_file` first, then `environment`, which takes precedence.
    pub(super) fn env(&self, service: At<'_, '_>) -> Option<Value> {
        let mut env = BTreeMap::new();
        if let Some(at) = service.child("env_file") {
            items(at, |at| self.env_file(at, &mut env));
        }
        if let Some(at) = service.child("environment") {
            let mut set = |at: At<'_, '_>, name: &str, value: Option<String>| {
                // A name without a value takes it from the caller's environment.
                if let Some(value) = value.or_else(|| (self.beside.variable)(name)) {
                    self.tell_secret(at, name, &value);
                    env.insert(name.to_owned(), value);
                }
            };
            if at.node.entries().is_some() {
                each(at, |name, at| set(at, name, text(at)));
            } else {
                items(at, |at| {
                    let Some(text) = text(at) else { return };
                    let (name, value) = text
                        .split_once('=')
                        .map_or((&*text, None), |(name, value)| (name, Some(value.to_owned())));
                    set(at, name, value);
                });
            }
        }
        (!env.is_empty()).then(|| json!(env))
    }

    fn env_file(&self, at: At<'_, '_>, env: &mut BTreeMap<String, String>) {
        let Some(path) = text(at).or_else(|| under(at, "path")) else { return };
        let optional = under(at, "required").as_deref() == Some("false");
        let lookup = |name: &str| (self.beside.variable)(name);
        let found = (self.beside.text)(&path).map_err(|failure| failure.message);
        match found
            .and_then(|text| environment::parse(&text, &lookup).map_err(|why| format!("{path}: {why}")))
        {
            Ok(found) => {
                found.iter().for_each(|(name, value)| self.tell_secret(at, name, value));
                env.extend(found);
            }
            Err(_) if optional => {}
            Err(why) => at.mistake("compose.env_file", why, String::new()),
        }
    }

    /// A password in the environment would be visible in the stack, in every document and in `observe`.
    fn tell_secret(&self, at: At<'_, '_>, name: &str, value: &str) {
        let upper = name.to_ascii_uppercase();
        let secret = SECRETS.iter().any(|word| upper.contains(word)) && !upper.ends_with("_FILE");
        if secret && !value.is_empty() {
            let message = format!("the value of {name} is visible to everybody who can read the stack");
            let hint = format!(
                "write it to a file, use `secrets`, and {name}_FILE: /run/secrets/... if the image supports that"
            );
            at.telling(self.lost).secret("compose.secret", &message, &hint);
        }
    }

    /// `depends_on`: a list, or a map with conditions.
    pub(super) fn needs(&self, at: At<'_, '_>) -> Option<Value> {
        let mut all = Vec::new();
        let mut need = |at: At<'_, '_>, key: &str, condition: &str| {
            let Some(own) = self.services.get(key) else {
                let message = format!("there is no service `{key}`");
                return at.key_mistake("compose.service", message, hint(key, self.services.written()));
            };
            match condition {
                "service_completed_successfully" => {
                    let message = format!("lsx waits until `{own}` runs, not until it has ended");
                    self.differs(at, message, "");
                }
                "service_healthy" if !self.checked.contains(key) => {
                    let message = format!(
                        "`{own}` counts as ready when it runs, since it has no healthcheck in the file"
                    );
                    self.differs(at, message, "write `ready` for it, like ready: { tcp: 5432 }");
                }
                _ => {}
            }
            all.push(own.to_owned());
        };
        if at.node.entries().is_some() {
            each(at, |key, at| need(at, key, under(at, "condition").as_deref().unwrap_or_default()));
        } else {
            items(at, |at| _ = text(at).map(|key| need(at, key.split(':').next().unwrap_or_default(), "")));
        }
        (!all.is_empty()).then(|| json!(all))
    }

    /// `healthcheck`: its command, and as timeout the time after which Compose would call the service unhealthy.
    pub(super) fn ready(&self, at: At<'_, '_>) -> Option<Value> {
        if at.child("disable").is_some_and(truth) {
            return None;
        }
        let Some(test) = at.child("test") else {
            self.lose(
                at,
                "a healthcheck without `test` is not converted".to_owned(),
                "the image's own healthcheck is not used; write `test`, or `ready` in the stack",
            );
            return None;
        };
        let words = texts(test);
        let shell = |line: &str| json!(["/bin/sh", "-c", line]);
        let command = match (words.first().map(String::as_str), test.node.text()) {
            (Some(line), Some(_)) => shell(line),
            (Some("CMD"), None) if words.len() > 1 => json!(words[1..]),
            (Some("CMD-SHELL"), None) => shell(&words[1..].join(" ")),
            (Some("NONE"), None) => return None,
            _ => {
                test.mistake(
                    "compose.healthcheck",
                    "the test is neither a text nor CMD, CMD-SHELL or NONE".to_owned(),
                    String::new(),
                );
                return None;
            }
        };
        let time = |key: &str, absent: f64| at.child(key).map_or(Some(absent), |at| self.seconds(at));
        let (interval, start) = (time("interval", 30.0)?, time("start_period", 0.0)?);
        let retries = under(at, "retries").and_then(|text| text.parse::<u32>().ok()).unwrap_or(3);
        let most = (start + interval * f64::from(retries)).clamp(60.0, 86_400.0).ceil();
        let mut ready = Map::from_iter([("command".to_owned(), command)]);
        if most > 60.0 {
            ready.insert("timeout".to_owned(), json!(format!("{most}s")));
        }
        Some(Value::Object(ready))
    }

    /// `stop_signal`, in all forms that Docker knows.
    pub(super) fn signal(&self, at: At<'_, '_>) -> Option<Value> {
        let found = text(at).and_then(|text| Signal::parse(&text));
        if found.is_none() {
            at.mistake("compose.signal", "not a signal".to_owned(), "like SIGQUIT or 3".to_owned());
        }
        Some(json!(found?.name()))
    }

    /// `stop_grace_period`, in whole seconds.
    pub(super) fn grace(&self, at: At<'_, '_>) -> Option<Value> {
        Some(json!(format!("{}s", self.seconds(at)?.clamp(0.0, 86_400.0).ceil())))
    }

    /// A time in the notation of Go: `1m30s`, `1.5s`, `500ms`.
    fn seconds(&self, at: At<'_, '_>) -> Option<f64> {
        let found = at.node.text().and_then(go_duration);
        if found.is_none() {
            at.mistake("compose.time", "not a duration".to_owned(), "like 30s or 1m30s".to_owned());
        }
        found
    }
}

/// A variable with one of these words in its name counts as a secret.
const SECRETS: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"];

fn go_duration(text: &str) -> Option<f64> {
    let (mut total, mut rest) = (0.0, text.trim());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number * factor;
        rest = &rest[unit..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::go_duration;

    #[test]
    fn times_of_go_are_seconds() {
        for (text, seconds) in [("30s", 30.0), ("1m30s", 90.0), ("1.5s", 1.5), ("2h", 7200.0)] {
            assert_eq!(go_duration(text), Some(seconds), "{text}");
        }
        for none in ["", "30", "s", "1x", "-1s", "1 s"] {
            assert_eq!(go_duration(none), None, "{none}");
        }
    }
}
