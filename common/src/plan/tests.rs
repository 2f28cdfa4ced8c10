//! The engine on a simulated host: steps for a difference, and what happens when one fails.

mod differences;
mod execution;
mod shown;

use super::{Have, Object, Step, Want};
use serde::{Deserialize, Serialize};

/// An object with a size that can change, and a kind that cannot; no two with the same seat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Thing {
    name: String,
    sort: String,
    size: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seat: Option<u32>,
}

impl Object for Thing {
    fn replaced_by(&self, next: &Self) -> bool {
        self.sort != next.sort
    }

    fn called(&self) -> Option<(String, &'static str)> {
        Some((self.name.clone(), "")).filter(|_| self.sort != "own")
    }

    fn excludes(&self, other: &Self) -> bool {
        self.seat.is_some() && self.seat == other.seat
    }
}

fn thing(name: &str) -> Thing {
    Thing { name: name.to_owned(), sort: "plain".to_owned(), size: 1, seat: None }
}

fn want(object: Thing, needs: &[&str]) -> Want<Thing> {
    let (key, needs) =
        (format!("thing:{}", object.name), needs.iter().map(|n| format!("thing:{n}")).collect());
    Want { key, object, needs, why: "it is in the document".to_owned() }
}

fn have(object: Thing, needs: &[&str]) -> Have<Thing> {
    let Want { key, object, needs, .. } = want(object, needs);
    Have { key, object, needs }
}

fn ids(steps: &[Step<Thing>]) -> Vec<&str> {
    steps.iter().map(|s| s.id.as_str()).collect()
}
