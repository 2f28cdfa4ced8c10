//! Which client may change which names (the rules of the document). Pure.

use crate::model::{Client, Holder};
use crate::zone::Owner;
use domain::base::iana::Rtype;
use std::collections::{BTreeMap, BTreeSet};

/// The rules of a server, by client.
#[derive(Debug, Default)]
pub(crate) struct Rules(BTreeMap<String, Rule>);

#[derive(Debug)]
struct Rule {
    names: Vec<String>,
    types: BTreeSet<Rtype>,
    owner: Holder,
}

impl Rules {
    /// Of the clients of a configuration.
    ///
    /// # Errors
    /// A type that is not known.
    pub(crate) fn new(clients: &BTreeMap<String, Client>) -> Result<Rules, String> {
        let rule = |(name, client): (&String, &Client)| {
            let kind = |text: &String| text.parse().map_err(|_| format!("{text} is not a type of records"));
            let types = client.types.iter().map(kind).collect::<Result<_, _>>()?;
            let names = client.names.iter().map(|name| name.to_ascii_lowercase()).collect();
            Ok((name.clone(), Rule { names, types, owner: client.owner }))
        };
        clients.iter().map(rule).collect::<Result<_, String>>().map(Rules)
    }

    /// The first of these clients that may change records of all these types of a name.
    pub(crate) fn client<'c>(
        &self,
        clients: &'c BTreeSet<String>,
        name: &Owner,
        types: &BTreeSet<Rtype>,
    ) -> Option<&'c str> {
        let text = name.to_string().to_ascii_lowercase();
        let may = |client: &&String| {
            self.0.get(*client).is_some_and(|rule| {
                types.is_subset(&rule.types) && rule.names.iter().any(|pattern| matches(pattern, &text))
            })
        };
        clients.iter().find(may).map(String::as_str)
    }

    /// As what a client owns names; none if the document does not name it any more.
    pub(crate) fn owner(&self, client: &str) -> Option<Holder> {
        self.0.get(client).map(|rule| rule.owner)
    }
}

/// Whether a text has the form of a pattern, whose stars match any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let (first, mut rest) = (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>());
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let Some(last) = rest.pop() else { return left.is_empty() };
    for part in rest {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_text() {
        for (pattern, text, fits) in [
            ("_acme-challenge.*", "_acme-challenge.www.internal", true),
            ("_acme-challenge.*", "acme-challenge.www.internal", false),
            ("*.dyn.internal", "a.b.dyn.internal", true),
            ("*.dyn.internal", "dyn.internal", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*ab", "ab", false),
            ("ab", "ab", true),
            ("ab", "abc", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
