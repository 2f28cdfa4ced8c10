//! Reads a `Target` from a document; unknown keys, and keys of another kind of probe, are refused.

use std::fmt;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::expect::Expect;
use super::problem::Problem;
use super::target::{Banner, Http, Icmp, Probe, Target, Tcp};

/// Every key that a target may have; which of them belong together depends on `probe`.
///
/// One flat struct instead of serde's tagged enum, which names neither the key nor the kind if a key is misplaced, and
/// cannot refuse unknown keys beside flattened ones.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TargetObject")]
struct Keys {
    /// A name, echoed in the result.
    name: Option<String>,
    /// The kind of probe.
    probe: Word,
    /// IPv4, IPv6 (with `%interface` if link-local), or a name in /etc/hosts.
    address: String,
    /// tcp, banner: the port; http: the port, default 80, with TLS 443.
    #[schemars(range(min = 1))]
    port: Option<u16>,
    /// Time limit in milliseconds (icmp: after each echo); default 1000 for icmp, else 5000.
    #[schemars(range(min = 1, max = 600_000))]
    timeout_ms: Option<u64>,
    /// Source address.
    source: Option<IpAddr>,
    /// Outgoing interface.
    interface: Option<String>,
    /// icmp: number of echo requests, default 3.
    #[schemars(range(min = 1, max = 65_535))]
    count: Option<u32>,
    /// icmp: milliseconds between echo requests, default 200.
    #[schemars(range(min = 1, max = 60_000))]
    interval_ms: Option<u64>,
    /// icmp: payload in bytes, default 56; the IPv4 packet is 28 larger.
    #[schemars(range(max = 65_507))]
    size_bytes: Option<u32>,
    /// icmp: forbid fragmentation.
    df: Option<bool>,
    /// banner: text to send first.
    send: Option<String>,
    /// banner: maximum number of bytes to read, default 256.
    #[schemars(range(min = 1, max = 65_536))]
    max_bytes: Option<u32>,
    /// http: path and query, default `/`.
    path: Option<String>,
    /// http: the Host header.
    host: Option<String>,
    /// http: follow redirects.
    follow: Option<bool>,
    /// http: connect by TLS and check the certificate of the server.
    tls: Option<bool>,
    /// http with TLS: PEM file of the authorities that are trusted, or its text; default: those of this host.
    ca: Option<String>,
    /// http with TLS: the name that the certificate must have, and the Host header; default: the address.
    server_name: Option<String>,
    /// The expected answer.
    #[serde(default)]
    expect: Expect,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Word {
    Icmp,
    Tcp,
    Banner,
    Http,
}

impl Keys {
    /// The keys that are present although they belong to other kinds of probe.
    fn misplaced(&self) -> Option<(&'static str, &'static str)> {
        use Word::{Banner, Http, Icmp, Tcp};
        let rules: [(&str, bool, &[Word], &str); 13] = [
            ("port", self.port.is_some(), &[Tcp, Banner, Http], "tcp, banner and http"),
            ("count", self.count.is_some(), &[Icmp], "icmp"),
            ("interval_ms", self.interval_ms.is_some(), &[Icmp], "icmp"),
            ("size_bytes", self.size_bytes.is_some(), &[Icmp], "icmp"),
            ("df", self.df.is_some(), &[Icmp], "icmp"),
            ("send", self.send.is_some(), &[Banner], "banner"),
            ("max_bytes", self.max_bytes.is_some(), &[Banner], "banner"),
            ("path", self.path.is_some(), &[Http], "http"),
            ("host", self.host.is_some(), &[Http], "http"),
            ("follow", self.follow.is_some(), &[Http], "http"),
            ("tls", self.tls.is_some(), &[Http], "http"),
            ("ca", self.ca.is_some(), &[Http], "http"),
            ("server_name", self.server_name.is_some(), &[Http], "http"),
        ];
        rules
            .into_iter()
            .find(|(_, present, owners, _)| *present && !owners.contains(&self.probe))
            .map(|(key, _, _, owner)| (key, owner))
    }

    fn into_target(self) -> Result<Target, Problem> {
        if let Some((key, owner)) = self.misplaced() {
            return Err(Problem::new(format!("{key}: belongs to {owner} only")));
        }
        let probe = self.probe()?;
        let target = Target {
            name: self.name,
            timeout_ms: self.timeout_ms.unwrap_or(probe.default_timeout_ms()),
            probe,
            address: self.address,
            source: self.source,
            interface: self.interface,
            expect: self.expect,
        };
        target.check()?;
        Ok(target)
    }

    fn probe(&self) -> Result<Probe, Problem> {
        let port = || self.port.ok_or_else(|| Problem::new("port: is missing").hint("write the port"));
        Ok(match self.probe {
            Word::Icmp => Probe::Icmp(self.icmp()),
            Word::Tcp => Probe::Tcp(Tcp { port: port()? }),
            Word::Banner => {
                let plain = Banner::new(port()?);
                Probe::Banner(Banner {
                    send: self.send.clone(),
                    max_bytes: self.max_bytes.unwrap_or(plain.max_bytes),
                    ..plain
                })
            }
            Word::Http => Probe::Http(Http {
                port: self.port.unwrap_or(if self.tls == Some(true) { 443 } else { 80 }),
                tls: self.tls.unwrap_or(false),
                ca: self.ca.clone(),
                server_name: self.server_name.clone(),
                path: self.path.clone().unwrap_or_else(|| "/".to_owned()),
                host: self.host.clone(),
                follow: self.follow.unwrap_or(false),
            }),
        })
    }

    fn icmp(&self) -> Icmp {
        let plain = Icmp::new();
        Icmp {
            count: self.count.unwrap_or(plain.count),
            interval_ms: self.interval_ms.unwrap_or(plain.interval_ms),
            size_bytes: self.size_bytes.unwrap_or(plain.size_bytes),
            df: self.df.unwrap_or(plain.df),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target, as an object or as text such as tcp:10.0.0.1:22")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Target, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(map))?;
                keys.into_target().map_err(de::Error::custom)
            }
        }
        input.deserialize_any(Either)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let object = generator.subschema_for::<Keys>();
        json_schema!({"anyOf": [
            {"type": "string", "pattern": "^(icmp:|tcp:|banner:|https?://)."},
            object,
        ]})
    }
}
