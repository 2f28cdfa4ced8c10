//! A record from its text. It is not derived: serde reads flattened fields only by keeping all values of each record, which takes longer
//! than everything else when a hundred thousand names are loaded.

use super::{Data, Entry, Seen};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The fields of [`Entry`], with one for each kind of [`Data`].
#[derive(Deserialize)]
struct Text {
    name: String,
    a: Option<Ipv4Addr>,
    aaaa: Option<Ipv6Addr>,
    cname: Option<String>,
    mx: Option<(u16, String)>,
    txt: Option<String>,
    srv: Option<(u16, u16, u16, String)>,
    ptr: Option<String>,
    ns: Option<String>,
    caa: Option<(u8, String, String)>,
    other: Option<(u16, String)>,
    ttl: Option<u32>,
    #[serde(default)]
    seen: Seen,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Text::deserialize(from)?;
        let all = [
            text.a.map(Data::A),
            text.aaaa.map(Data::Aaaa),
            text.cname.map(Data::Cname),
            text.mx.map(|(preference, host)| Data::Mx(preference, host)),
            text.txt.map(Data::Txt),
            text.srv.map(|(priority, weight, port, host)| Data::Srv(priority, weight, port, host)),
            text.ptr.map(Data::Ptr),
            text.ns.map(Data::Ns),
            text.caa.map(|(flags, tag, value)| Data::Caa(flags, tag, value)),
            text.other.map(|(kind, hex)| Data::Other(kind, hex)),
        ];
        let mut all = all.into_iter().flatten();
        let (Some(data), None) = (all.next(), all.next()) else {
            return Err(D::Error::custom(format!(
                "the record of {} does not have exactly one kind of data",
                text.name
            )));
        };
        Ok(Entry { name: text.name, data, ttl: text.ttl, seen: text.seen, of: String::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_of_every_kind_reads_back() {
        let kinds = [
            Data::A(Ipv4Addr::LOCALHOST),
            Data::Aaaa(Ipv6Addr::LOCALHOST),
            Data::Cname("web.internal".to_owned()),
            Data::Mx(10, "mail.internal".to_owned()),
            Data::Txt("v=spf1".to_owned()),
            Data::Srv(0, 1, 80, "web.internal".to_owned()),
            Data::Ptr("web.internal".to_owned()),
            Data::Ns("ns.internal".to_owned()),
            Data::Caa(0, "issue".to_owned(), "ca.internal".to_owned()),
            Data::Other(65, "0001".to_owned()),
        ];
        for (data, ttl) in kinds.into_iter().flat_map(|data| [(data.clone(), None), (data, Some(60))]) {
            let seen = if ttl.is_some() { Seen::Networks(vec!["lan".to_owned()]) } else { Seen::All };
            let entry = Entry { name: "a.internal".to_owned(), data, ttl, seen, of: String::new() };
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        }
    }

    #[test]
    fn a_record_has_one_kind_of_data() {
        for wrong in [
            json!({"name": "a"}),
            json!({"name": "a", "a": "10.0.0.1", "txt": "x"}),
            json!({"a": "10.0.0.1"}),
        ] {
            assert!(serde_json::from_value::<Entry>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
