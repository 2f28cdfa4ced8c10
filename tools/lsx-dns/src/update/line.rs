//! The entries of the journal of names. Pure.

use super::replay::Signed;
use super::state::Held;
use crate::model::Data;
use crate::zone::{self, Owner, Rr};
use domain::base::name::ToName;
use serde::{Deserialize, Serialize};

/// One entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A server began, with records of the stack that have this digest.
    Begin {
        serial: u32,
        stack: String,
    },
    /// An update changed these names.
    Update {
        serial: u32,
        signed_at: u64,
        mac: String,
        names: Vec<Named>,
    },
    /// Names as they were when the journal was shortened, and an update that was carried out before.
    Names(Vec<Named>),
    Done {
        signed_at: u64,
        mac: String,
    },
}

/// What a name has; without records it is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// The client.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) by: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) records: Vec<Written>,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    ttl: u32,
    #[serde(flatten)]
    data: Data,
}

impl Named {
    pub(crate) fn new(name: &Owner, held: Option<&Held>) -> Named {
        let written =
            |record: &Rr| Written { ttl: record.ttl().as_secs(), data: zone::written(record.data()) };
        Named {
            name: name.to_string(),
            by: held.map(|held| held.by.clone()).unwrap_or_default(),
            records: held.map(|held| held.records.iter().map(written).collect()).unwrap_or_default(),
        }
    }

    /// The name and what it has.
    ///
    /// # Errors
    /// A name or data that DNS does not allow.
    pub(crate) fn read(&self) -> Result<(Owner, Option<Held>), String> {
        let name = zone::name(&self.name)?;
        let record = |written: &Written| zone::record_of(name.clone(), written.ttl, &written.data);
        let records = self.records.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        let held = (!records.is_empty()).then(|| Held { by: self.by.clone(), records });
        Ok((name.to_vec(), held))
    }
}

impl Line {
    /// The serial after it, if it has one.
    pub(crate) fn serial(&self) -> Option<u32> {
        match self {
            Line::Begin { serial, .. } | Line::Update { serial, .. } => Some(*serial),
            Line::Names(_) | Line::Done { .. } => None,
        }
    }

    pub(crate) fn done(signed: &Signed) -> Line {
        Line::Done { signed_at: signed.at, mac: signed.mac.clone() }
    }
}
