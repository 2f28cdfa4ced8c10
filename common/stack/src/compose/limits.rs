//! Limits and the number of instances of a service.

use super::{At, Import, each, text, under};
use crate::value::{RLIMITS, Size};
use serde_json::{Map, Value, json};

impl Import<'_> {
    /// `deploy`: the number of instances; its limits go into `limits`.
    pub(super) fn deploy(&self, at: At<'_, '_>, limits: &mut Map<String, Value>) -> Deploy {
        let mut deploy = Deploy::default();
        each(at, |key, at| match key {
            "replicas" => deploy.replicas = text(at).and_then(|text| text.parse().ok()),
            "resources" => each(at, |key, at| match key {
                "limits" => each(at, |key, at| self.resource(key, at, limits)),
                _ => self.lose(at, format!("`{key}` of resources is not converted"), "only `limits` is"),
            }),
            "restart_policy" => {
                deploy.restart = at.child("condition").map(|at| match at.node.text() {
                    Some("none") => "no",
                    Some("on-failure") => "on-failure",
                    _ => "always",
                });
            }
            "mode" if at.node.text() == Some("replicated") => {}
            "mode" => self.lose(
                at,
                "an instance on every host is not converted".to_owned(),
                "write `hosts` and `count`",
            ),
            _ => self.lose(at, format!("`{key}` of deploy is not converted"), ""),
        });
        deploy
    }

    /// One limit, of `deploy.resources.limits` or of the service.
    pub(super) fn resource(&self, key: &str, at: At<'_, '_>, limits: &mut Map<String, Value>) {
        let Some(value) = text(at) else { return self.lose(at, format!("`{key}` is not converted"), "") };
        let (ours, value) = match key {
            "memory" | "mem_limit" => ("memory", size(&value)),
            "cpus" => ("cpus", Some(value).filter(|value| value != "0" && value != "0.0")),
            "pids" | "pids_limit" => ("processes", Some(value).filter(|value| value != "-1" && value != "0")),
            _ => return self.lose(at, format!("`{key}` is not converted"), ""),
        };
        limits.extend(value.map(|value| (ours.to_owned(), json!(value))));
    }

    pub(super) fn ulimits(&self, at: At<'_, '_>, limits: &mut Map<String, Value>) {
        each(at, |key, at| {
            if !RLIMITS.contains(&key) {
                return self.lose(at, format!("`{key}` is not a limit of setrlimit(2)"), "");
            }
            let both = || Some(format!("{}:{}", endless(&under(at, "soft")?), endless(&under(at, "hard")?)));
            match text(at).map(|text| endless(&text)).or_else(both) {
                Some(value) => _ = limits.insert(key.to_owned(), json!(value)),
                None => self.lose(at, format!("`{key}` has neither a number nor `soft` and `hard`"), ""),
            }
        });
    }
}

/// The settings of `deploy`.
#[derive(Default)]
pub(super) struct Deploy {
    pub(super) replicas: Option<usize>,
    pub(super) restart: Option<&'static str>,
}

fn endless(text: &str) -> String {
    if text == "-1" { "unlimited".to_owned() } else { text.to_owned() }
}

/// A size in the notation of lsx; Compose accepts `b k m g` with or without a `b`, in any case, and fractions.
pub(super) fn size(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?.trim_end_matches('b').trim_end_matches('i');
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let number: f64 = digits.trim().parse().ok()?;
    let bytes = number * f64::from(2_u32).powi(shift);
    // Sizes beyond 2^53 bytes have no significant fractions.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the check above")]
    let bytes = (1.0..9e15).contains(&bytes).then_some(bytes as u64)?;
    Some(Size(bytes).to_string())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_of_compose_become_ours() {
        for (theirs, ours) in [
            ("512m", "512M"),
            ("1gb", "1G"),
            ("1.5g", "1536M"),
            ("65536", "64K"),
            ("100", "100"),
            ("2Gi", "2G"),
            ("10 MB", "10M"),
        ] {
            assert_eq!(size(theirs).as_deref(), Some(ours), "{theirs}");
        }
        for none in ["", "x", "-1m", "0", "1z", "nan", "inf", "1e300"] {
            assert_eq!(size(none), None, "{none}");
        }
    }
}
