//! The objects of a plan, and the intent of a host.

mod seen;

pub use seen::{AuthoritySeen, CertificateSeen, Facts, RootSeen, Trusted};

use common::plan::{self, WithKept};
use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where lsx-pki keeps everything of a stack: `ROOT/STACK`.
pub const ROOT: &str = "/var/lib/lsx/pki";

/// One object of a host.
pub type Object = WithKept<Own>;

/// One of this tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "object", rename_all = "snake_case")]
pub enum Own {
    /// The authority.
    Authority(Authority),
    /// The certificate of the root, which is public.
    Root(Root),
    /// A certificate, with its key.
    Certificate(Certificate),
}

/// The authority of a stack: a root, and an intermediate authority that it has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Authority {
    /// Its name; that of the root has `root` at its end.
    pub name: String,
    /// The domains for which it may issue certificates, with everything below them.
    pub names: Vec<String>,
    /// The addresses for which it may.
    #[schemars(with = "Vec<String>")]
    pub networks: Vec<Ipv4Net>,
    /// Seconds that the intermediate authority is valid.
    pub life_s: u64,
    /// Seconds that the root is valid.
    pub root_life_s: u64,
    /// Whether it can be used.
    pub state: State,
}

/// The root's certificate on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Root {
    /// Whether it is that of the authority.
    pub state: State,
}

/// A certificate on a host that uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// Name in `pki.certificates`.
    pub name: String,
    /// The names it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The addresses it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Ipv4Addr>,
    /// What it is for.
    pub usage: Vec<Use>,
    /// Seconds that it is valid.
    pub life_s: u64,
    /// Whether it can be used.
    pub state: State,
}

/// The purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// TLS servers.
    Server,
    /// TLS clients.
    Client,
}

/// Whether something can be used, as the clock and the files of its host say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can.
    Valid,
    /// Less than a third of its time is left.
    Due,
    /// Its time is over.
    Expired,
    /// Its time has not begun: a clock is wrong.
    Early,
    /// The certificate or the key is not there.
    Missing,
    /// Others than root can read a key.
    Open,
    /// A file cannot be read, or certificate and key do not belong together.
    Damaged,
    /// It is of another authority.
    Foreign,
}

/// What a host keeps: `/etc/lsx/STACK/pki.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// `lsx.pki.intent/1`.
    pub schema: String,
    /// The stack.
    pub stack: String,
    /// The name of the host in the stack.
    pub host: String,
    /// Whether the authority is on this host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub authority: bool,
    /// Its certificates, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
}

/// What its steps share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shared {
    /// The host of the authority, if anything has to be issued.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signer: String,
}

/// The key of a text of a plan with chains: the name of a certificate, and by host what it gets.
pub(crate) type Chains = BTreeMap<String, String>;

/// The key of the text with the root's certificate. No certificate has this name.
pub(crate) const ROOT_TEXT: &str = "/root";

impl Authority {
    /// Whether it may issue a certificate for a name, which may begin with `*.`.
    pub fn permits_name(&self, name: &str) -> bool {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        let below = |domain: &String| {
            bare == domain || bare.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        self.names.iter().any(below)
    }

    /// Whether it may for an address.
    pub fn permits_address(&self, address: Ipv4Addr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl Own {
    /// Its key among the objects of a host.
    pub fn key(&self) -> String {
        match self {
            Own::Authority(_) => "authority:pki".to_owned(),
            Own::Root(_) => "root:pki".to_owned(),
            Own::Certificate(one) => format!("certificate:{}", one.name),
        }
    }

    /// Its state.
    pub fn state(&mut self) -> &mut State {
        match self {
            Own::Authority(one) => &mut one.state,
            Own::Root(one) => &mut one.state,
            Own::Certificate(one) => &mut one.state,
        }
    }
}

impl plan::Object for Own {
    fn replaced_by(&self, _: &Self) -> bool {
        false
    }

    fn called(&self) -> Option<(String, &'static str)> {
        Some(match self {
            Own::Authority(one) => (format!("authority {}", one.name), ""),
            Own::Root(_) => ("root certificate".to_owned(), ""),
            Own::Certificate(one) => (format!("certificate {}", one.name), ""),
        })
    }

    fn brief(&self) -> String {
        match self {
            Own::Authority(one) => one.names.join(", "),
            Own::Root(_) => String::new(),
            Own::Certificate(one) => {
                let addresses = one.addresses.iter().map(ToString::to_string);
                one.names.iter().cloned().chain(addresses).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// A renewed one has another time, and nothing else.
    fn means(&self, next: &Self) -> Option<&'static str> {
        let (mut one, mut next) = (self.clone(), next.clone());
        let same = one.state() != next.state() && {
            *one.state() = *next.state();
            one == next
        };
        same.then_some("renewed")
    }

    fn content(&self) -> Option<&str> {
        match self {
            Own::Authority(_) => None,
            Own::Root(_) => Some(ROOT_TEXT),
            Own::Certificate(one) => Some(&one.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_permits_what_is_below_its_domains() {
        let authority = Authority {
            name: String::new(),
            names: vec!["internal".to_owned()],
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            life_s: 1,
            root_life_s: 1,
            state: State::Valid,
        };
        for good in ["internal", "www.internal", "*.internal", "*.a.internal"] {
            assert!(authority.permits_name(good), "{good}");
        }
        for wrong in ["wwwinternal", "internal.org", "*.org", "org", ""] {
            assert!(!authority.permits_name(wrong), "{wrong}");
        }
        assert!(authority.permits_address(Ipv4Addr::new(10, 1, 2, 3)));
        assert!(!authority.permits_address(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
