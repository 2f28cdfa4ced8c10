//! The objects of a tool together with those that the engine keeps for it. Pure.

use super::{Kept, Object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of a tool, or one that the engine keeps. The tool's own have a tag `object` with other values than [`Kept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum WithKept<O> {
    /// One of the tool.
    Own(O),
    /// One that the engine keeps.
    Kept(Kept),
}

impl<O> From<Kept> for WithKept<O> {
    fn from(kept: Kept) -> Self {
        WithKept::Kept(kept)
    }
}

impl<O> WithKept<O> {
    /// The tool's own.
    pub fn own(&self) -> Option<&O> {
        match self {
            WithKept::Own(own) => Some(own),
            WithKept::Kept(_) => None,
        }
    }

    fn both<'a>(&'a self, other: &'a Self) -> Option<(&'a O, &'a O)> {
        self.own().zip(other.own())
    }
}

impl<O: Object> Object for WithKept<O> {
    fn replaced_by(&self, next: &Self) -> bool {
        self.both(next).is_some_and(|(own, next)| own.replaced_by(next))
    }

    fn excludes(&self, other: &Self) -> bool {
        self.both(other).is_some_and(|(own, other)| own.excludes(other))
    }

    fn goes_along(&self) -> bool {
        self.own().is_none_or(O::goes_along)
    }

    fn hides(&self, path: &str) -> bool {
        self.own().is_some_and(|own| own.hides(path))
    }

    fn called(&self) -> Option<(String, &'static str)> {
        match self {
            WithKept::Own(own) => own.called(),
            WithKept::Kept(kept) => kept.called(),
        }
    }

    fn minor(&self, next: &Self) -> bool {
        self.both(next).is_some_and(|(own, next)| own.minor(next))
    }

    fn brief(&self) -> String {
        self.own().map(O::brief).unwrap_or_default()
    }

    fn means(&self, next: &Self) -> Option<&'static str> {
        match (self, next) {
            (WithKept::Own(own), WithKept::Own(next)) => own.means(next),
            (WithKept::Kept(kept), WithKept::Kept(next)) => kept.means(next),
            _ => None,
        }
    }

    fn kept(&self) -> Option<Kept> {
        match self {
            WithKept::Own(own) => own.kept(),
            WithKept::Kept(kept) => Some(kept.clone()),
        }
    }

    fn content(&self) -> Option<&str> {
        match self {
            WithKept::Own(own) => own.content(),
            WithKept::Kept(kept) => kept.content(),
        }
    }
}
