//! The documents of the verb `update`, and what a reply comes to.

use super::change::Item;
use super::message::Said;
use common::stack::Place;
use common::{Failure, Kind};
use domain::base::iana::{Rcode, TsigRcode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes from standard input.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The zone; default: the one that the first name is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) zone: Option<String>,
    /// The changes, in their order, and conditions for all of them.
    pub(crate) changes: Vec<Item>,
}

impl Wanted {
    /// Reads JSON.
    ///
    /// # Errors
    /// With line and column.
    pub(super) fn read(text: &str, file: &str) -> Result<Wanted, Failure> {
        serde_json::from_str(text).map_err(|e| {
            let failure = Failure::new(Kind::Data, "dns.changes", format!("not the changes of an update: {e}"));
            let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            let (line, column) = (number(e.line()), number(e.column()));
            let at = Place { file: file.to_owned(), line, column, ..Place::default() };
            let hint = r#"such as {"changes": [{"do": "add", "name": "a.internal", "type": "A", "data": "192.0.2.1"}]}"#;
            Failure { at: Some(at), ..failure }.hint(hint)
        })
    }
}

/// What came of an update.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Updated {
    /// `lsx.dns.update/1`.
    pub(crate) schema: String,
    /// The server.
    pub(crate) server: String,
    /// The instance in whose place it was sent, unless the server was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// The zone.
    pub(crate) zone: String,
    /// The name of the key.
    pub(crate) key: String,
    /// The changes and conditions.
    pub(crate) changes: Vec<Item>,
    /// The code of the reply, such as `NOERROR`.
    pub(crate) code: String,
    /// The error in its signature, such as `BADSIG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether the reply is signed with the key.
    pub(crate) signed: bool,
    /// Milliseconds until the reply.
    pub(crate) ms: f64,
}

impl Updated {
    /// # Errors
    /// Unless the update was carried out, and the server has signed that.
    pub(crate) fn verdict(&self, said: &Said) -> Result<(), Failure> {
        let (server, zone, key) = (&self.server, &self.zone, &self.key);
        let failure = |kind: Kind, message: String| Err(Failure::new(kind, "dns.update", message));
        let told = match (said.code, said.error) {
            (_, Some(TsigRcode::BADTIME)) => {
                let message = format!("{server} has another time than this machine: BADTIME");
                return failure(Kind::Failed, message)
                    .map_err(|e| e.hint("set the clocks, by NTP for example"));
            }
            (_, Some(TsigRcode::BADKEY | TsigRcode::BADSIG | TsigRcode::BADTRUNC)) => {
                let error = self.error.as_deref().unwrap_or_default();
                return failure(Kind::Denied, format!("{server} does not know the key {key} so: {error}"));
            }
            (Rcode::NOERROR, _) => {
                if said.sure {
                    return Ok(());
                }
                let message = format!(
                    "the reply of {server} is not signed with the key {key}, so nobody knows who wrote it"
                );
                return failure(Kind::Denied, message)
                    .map_err(|e| e.hint("ask for the name whether it has changed"));
            }
            (Rcode::NXDOMAIN, _) => "a name that has to be there is not",
            (Rcode::YXDOMAIN, _) => "a name that must not be there is",
            (Rcode::NXRRSET, _) => "records that have to be there are not",
            (Rcode::YXRRSET, _) => "records that must not be there are",
            (Rcode::REFUSED, _) => {
                let message =
                    format!("{server} refuses the update: the key {key} may not make these changes: REFUSED");
                return failure(Kind::Denied, message);
            }
            (Rcode::NOTAUTH, _) => {
                return failure(Kind::Failed, format!("{server} does not have the zone {zone}: NOTAUTH"));
            }
            (Rcode::NOTZONE, _) => {
                return failure(Kind::Data, format!("a name is not in the zone {zone}: NOTZONE"));
            }
            (Rcode::SERVFAIL, _) => {
                let message = format!("{server} cannot carry out updates now: SERVFAIL");
                return failure(Kind::Again, message);
            }
            (code, _) => return failure(Kind::Failed, format!("{server} does not carry it out: {code}")),
        };
        failure(Kind::Differs, format!("nothing is changed: {told}: {}", self.code))
    }
}
