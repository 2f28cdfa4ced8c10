//! Changes as they are written: as words of a command line, or as a document. Pure.

use crate::zone::{Owner, Rdata, Rr, name};
use domain::base::iana::{Class, Rtype};
use domain::base::scan::IterScanner;
use domain::base::{Record, Ttl};
use domain::rdata::ZoneRecordData;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TTL of records without one, in seconds.
const TTL: u32 = 60;
/// How a change is written.
pub(super) const FORMS: &str =
    "add NAME [TTL] TYPE DATA, delete NAME [TYPE [DATA]], if NAME [TYPE [DATA]], or unless NAME [TYPE]";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// A record is added.
    Add,
    /// A record is deleted; without data all of the type, without a type all of the name.
    Delete,
    /// Nothing is changed unless the name has this record and no other of its type; without data: any.
    If,
    /// Nothing is changed if the name has records of the type; without a type: any.
    Unless,
}

/// One change, or a condition for all changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    /// `add` or `delete`; `if` or `unless`: a condition for all of them.
    #[serde(rename = "do")]
    pub(crate) act: Act,
    /// The name, fully qualified.
    pub(crate) name: String,
    /// The type of records.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// The data of a record, as in zone files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<String>,
    /// With `add`: TTL in seconds; default: 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<u32>,
}

/// An item in the form of messages.
pub(crate) enum Part {
    /// A record of the zone's class.
    Whole(Rr),
    /// Only data, of the class NONE.
    Data(Owner, Rdata),
    /// Only a name, with a type or any, of the class ANY or NONE.
    Bare(Owner, Rtype, Class),
}

impl Item {
    /// Reads the words of a command line.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn parse(text: &str) -> Result<Item, String> {
        let (act, rest) = word(text);
        let act = match act {
            "add" => Act::Add,
            "delete" => Act::Delete,
            "if" => Act::If,
            "unless" => Act::Unless,
            _ => return Err(format!("a change is {FORMS}")),
        };
        let (name, rest) = word(rest);
        if name.is_empty() {
            return Err(format!("the name is missing: {FORMS}"));
        }
        let (first, after) = word(rest);
        let ttl = first.parse().ok().filter(|_| act == Act::Add);
        let (kind, data) = if ttl.is_some() { word(after) } else { (first, after) };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Item { act, name: name.to_owned(), kind: some(kind), data: some(data.trim_end()), ttl })
    }

    /// Whether it is a condition.
    pub(super) fn is_condition(&self) -> bool {
        matches!(self.act, Act::If | Act::Unless)
    }

    /// The form of messages.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn part(&self) -> Result<Part, String> {
        let owner = name(&self.name)?;
        let kind = self.kind.as_deref().map(kind).transpose()?;
        if self.ttl.is_some() && self.act != Act::Add {
            return Err("only `add` has a TTL".to_owned());
        }
        let data = match (&self.data, kind) {
            (Some(_), None) => return Err("data needs a type".to_owned()),
            (Some(text), Some(kind)) => Some(data(kind, text)?),
            (None, _) => None,
        };
        let bare = kind.unwrap_or(Rtype::ANY);
        Ok(match (self.act, data) {
            (Act::Add, Some(data)) => whole(owner, self.ttl.unwrap_or(TTL), data),
            (Act::Add, None) => return Err("`add` needs a type and data".to_owned()),
            (Act::Delete, Some(data)) => Part::Data(owner, data),
            (Act::If, Some(data)) => whole(owner, 0, data),
            (Act::Delete | Act::If, None) => Part::Bare(owner, bare, Class::ANY),
            (Act::Unless, None) => Part::Bare(owner, bare, Class::NONE),
            (Act::Unless, Some(_)) => return Err("`unless` has no data".to_owned()),
        })
    }
}

fn whole(owner: Owner, ttl: u32, data: Rdata) -> Part {
    Part::Whole(Record::new(owner, Class::IN, Ttl::from_secs(ttl), data))
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn kind(text: &str) -> Result<Rtype, String> {
    let kind: Option<Rtype> = text.to_ascii_uppercase().parse().ok();
    kind.filter(|kind| *kind != Rtype::ANY).ok_or_else(|| format!("{text} is not a type of records"))
}

/// Data as in zone files.
fn data(kind: Rtype, text: &str) -> Result<Rdata, String> {
    let mut scanner = IterScanner::<_, Vec<u8>>::new(tokens(text)?);
    let data = ZoneRecordData::scan(kind, &mut scanner);
    let data = data.map_err(|e| format!("{text} is not data of {kind}: {e}"))?;
    if !scanner.is_exhausted() {
        return Err(format!("{text} is more than data of {kind}"));
    }
    Ok(data)
}

/// The tokens of data: those in quotation marks may have spaces.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let (mut all, mut token, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                token.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => all.extend(token.take()),
            '\\' => {
                let token = token.get_or_insert_default();
                token.push(c);
                token.extend(chars.next());
            }
            c => token.get_or_insert_default().push(c),
        }
    }
    all.extend(token);
    if quoted { Err(format!("a quotation mark is missing: {text}")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Part, String> {
        Item::parse(text)?.part()
    }

    #[test]
    fn words_are_changes() {
        for (text, wanted) in [
            ("add a.internal A 192.0.2.1", "a.internal. 60 IN A 192.0.2.1"),
            (
                "add a.internal. 5 txt \"one two\" three\\ four",
                "a.internal. 5 IN TXT \"one two\" \"three four\"",
            ),
            ("add a.internal 5 MX 10 mail.example.org.", "a.internal. 5 IN MX 10 mail.example.org."),
            ("add a.internal 5 TXT \"\\\"\"", "a.internal. 5 IN TXT \"\\\"\""),
            ("if a.internal A 192.0.2.1", "a.internal. 0 IN A 192.0.2.1"),
        ] {
            let Ok(Part::Whole(record)) = parsed(text) else { panic!("{text}") };
            let (ttl, kind) = (record.ttl().as_secs(), record.rtype());
            assert_eq!(format!("{}. {ttl} IN {kind} {}", record.owner(), record.data()), wanted);
        }
        assert!(matches!(parsed("delete a.internal TXT x"), Ok(Part::Data(..))));
        for (text, wanted) in [
            ("delete a.internal", (Rtype::ANY, Class::ANY)),
            ("delete a.internal  AAAA ", (Rtype::AAAA, Class::ANY)),
            ("if a.internal", (Rtype::ANY, Class::ANY)),
            ("unless a.internal TYPE65", (Rtype::HTTPS, Class::NONE)),
        ] {
            let Ok(Part::Bare(_, kind, class)) = parsed(text) else { panic!("{text}") };
            assert_eq!((kind, class), wanted, "{text}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (text, why) in [
            ("", "a change is add NAME"),
            ("replace a.internal A 192.0.2.1", "a change is add NAME"),
            ("add", "the name is missing"),
            ("add a.internal", "needs a type and data"),
            ("add a.internal A", "needs a type and data"),
            ("add a..b A 192.0.2.1", "a..b"),
            ("add a.internal A 192.0.2", "is not data of A"),
            ("add a.internal A 192.0.2.1 192.0.2.2", "more than data of A"),
            ("add a.internal TXT \"open", "a quotation mark is missing"),
            ("add a.internal NONE x", "not a type"),
            ("delete a.internal ANY", "not a type"),
            ("unless a.internal A 192.0.2.1", "has no data"),
        ] {
            let wrong = parsed(text).err().unwrap_or_default();
            assert!(wrong.contains(why), "{text}: {wrong}");
        }
    }
}
