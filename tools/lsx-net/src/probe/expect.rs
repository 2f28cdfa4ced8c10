//! The expected answer of a probe.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::problem::Problem;

/// Expectations; all of them must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// HTTP status codes or classes, any of which is accepted: `200`, `"2xx"`, `[200, "3xx"]`. Default: 2xx and 3xx.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "status_schema")]
    pub status: Vec<StatusRule>,
    /// HTTP header name (in any case) and the prefix of its value: `{server: nginx/}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Texts that must all occur in the banner: `SSH-2.0`, or `[SSH, OpenSSH]`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub banner: Vec<String>,
}

/// One HTTP status code, or a class of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusRule {
    /// Exactly this code, 100 to 599.
    Code(u16),
    /// The class of this first digit, 1 to 5.
    Class(u16),
}

impl Expect {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with a status, if anything.
    pub(super) fn status_problem(&self, status: u16) -> Option<Problem> {
        let good = if self.status.is_empty() {
            (200..400).contains(&status)
        } else {
            self.status.iter().any(|rule| rule.allows(status))
        };
        (!good).then(|| {
            let wanted = match self.status.as_slice() {
                [] => "2xx or 3xx".to_owned(),
                rules => join(rules),
            };
            Problem::new(format!("status {status}, expected {wanted}"))
        })
    }

    /// What is wrong with the headers, if anything; `found` has lower-case names.
    pub(super) fn header_problem(&self, found: &BTreeMap<String, String>) -> Option<Problem> {
        self.headers.iter().find_map(|(name, prefix)| {
            let message = match found.get(&name.to_ascii_lowercase()) {
                Some(value) if value.starts_with(prefix.as_str()) => return None,
                Some(value) => {
                    format!("header {name} is {value:?}, expected it to begin with {prefix:?}")
                }
                None => format!("header {name} is absent, expected it to begin with {prefix:?}"),
            };
            Some(Problem::new(message))
        })
    }

    /// What is wrong with a banner, if anything.
    pub(super) fn banner_problem(&self, banner: &str) -> Option<Problem> {
        let missing = self.banner.iter().find(|text| !banner.contains(*text))?;
        Some(Problem::new(format!("the banner {banner:?} does not contain {missing:?}")))
    }
}

impl StatusRule {
    fn allows(self, status: u16) -> bool {
        match self {
            Self::Code(code) => status == code,
            Self::Class(digit) => status / 100 == digit,
        }
    }
}

impl std::str::FromStr for StatusRule {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let class = text
            .strip_suffix("xx")
            .and_then(|digit| digit.parse().ok())
            .filter(|digit| (1..=5).contains(digit));
        let code = || text.parse().ok().filter(|code: &u16| (100..600).contains(code));
        class.map(Self::Class).or_else(|| code().map(Self::Code)).ok_or_else(|| {
            Problem::new(format!("{text:?} is not an HTTP status"))
                .hint("write a code such as 200, or a class such as \"2xx\"")
        })
    }
}

impl fmt::Display for StatusRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(digit) => write!(f, "{digit}xx"),
        }
    }
}

impl Serialize for StatusRule {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Code(code) => out.serialize_u16(*code),
            Self::Class(_) => out.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for StatusRule {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = StatusRule;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an HTTP status such as 200, or a class such as \"2xx\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRule, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, code: u64) -> Result<StatusRule, E> {
                self.visit_str(&code.to_string())
            }
        }
        input.deserialize_any(Text)
    }
}

/// Decodes a list, or a single value as a list of one.
fn one_or_many<'de, D, T>(input: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one value or a list of them")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(text.into_deserializer())?])
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(number.into_deserializer())?])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(value) = list.next_element()? {
                all.push(value);
            }
            Ok(all)
        }
    }
    input.deserialize_any(OneOrMany(PhantomData))
}

fn join(rules: &[StatusRule]) -> String {
    let words: Vec<String> = rules.iter().map(ToString::to_string).collect();
    words.join(" or ")
}

fn status_schema(_: &mut SchemaGenerator) -> Schema {
    let one = json_schema!({"anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string", "pattern": "^([1-5]xx|[1-5][0-9][0-9])$"},
    ]});
    json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
}

fn texts_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
}
