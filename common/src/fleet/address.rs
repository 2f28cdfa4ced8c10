//! Addresses of SSH servers in text form.

use crate::{Failure, Kind};

/// The address of a host's SSH server: `[user@]address[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Address {
    /// Reads the text form; an IPv6 address is written in brackets.
    pub(super) fn parse(text: &str) -> Result<Address, Failure> {
        let parsed = || {
            let (user, rest) = match text.rsplit_once('@') {
                Some((user, rest)) => (Some(word(user)?), rest),
                None => (None, text),
            };
            let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
                Some((host, "")) => (host, None),
                Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
                None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
            };
            let port = port.map(str::parse::<u16>).transpose().ok()?;
            Some(Address { user, host: word(host)?, port })
        };
        parsed().ok_or_else(|| {
            let message = format!("{text:?} is not [user@]address[:port]");
            Failure::new(Kind::Data, "fleet.ssh", message)
        })
    }
}

/// A word that `ssh` cannot take for an option or a program.
fn word(text: &str) -> Option<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    (!text.is_empty() && !text.starts_with('-') && text.chars().all(good)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_form() {
        let read = |text| Address::parse(text).map(|a| (a.user, a.host, a.port)).ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("192.0.2.1"), Some((None, "192.0.2.1".into(), None)));
        assert_eq!(read("admin@h2:2222"), Some((some("admin"), "h2".into(), Some(2222))));
        assert_eq!(read("root@[2001:db8::1]:22"), Some((some("root"), "2001:db8::1".into(), Some(22))));
        for bad in ["", "-oProxyCommand=x", "a b", "root@-x", "h:70000", "h:22x", "@h", "$(x)@h"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
