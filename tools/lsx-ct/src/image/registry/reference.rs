//! The name of an image in a registry: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`.

use crate::image::{digest, refused};
use common::Failure;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Host and port.
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Reference, Failure> {
        let wrong = |why: &str| {
            refused("reference", format!("{text:?}: {why}"))
                .hint("write registry.example/team/app:1.0, or app@sha256:..., without a scheme")
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        digest.iter().try_for_each(|digest| digest::hex(digest).map(drop))?;
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, repository)) if is_host(host) => (host.to_owned(), repository.to_owned()),
            Some(_) => ("docker.io".to_owned(), path.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{path}")),
        };
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
        };
        if !repository.split('/').all(part) {
            return Err(wrong(
                "a repository may only contain lower-case letters, digits and ._- between slashes",
            ));
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if tag.as_ref().is_some_and(|t| t.is_empty() || t.len() > 128 || !t.chars().all(good)) {
            return Err(wrong("a tag may have at most 128 letters, digits and ._-"));
        }
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) {
            return Err(wrong("not a valid host"));
        }
        Ok(Reference { host, repository, tag, digest })
    }

    /// The same image on a mirror: `HOST[:PORT]`, optionally with a path.
    pub(super) fn on(&self, mirror: &str) -> Result<Reference, Failure> {
        let (host, path) =
            mirror.split_once('/').map_or((mirror, ""), |(host, path)| (host, path.trim_end_matches('/')));
        let joint = if path.is_empty() { "" } else { "/" };
        let mut other = Reference::parse(&format!("{host}/{path}{joint}{}", self.repository))?;
        if other.host != host {
            return Err(refused("mirror", format!("{mirror:?} is not a registry"))
                .hint("write its host, as mirror.example:5000 or cache.example/hub"));
        }
        (other.tag, other.digest) = (self.tag.clone(), self.digest.clone());
        Ok(other)
    }

    /// The requested digest, else the tag.
    pub(super) fn version(&self) -> String {
        self.digest.clone().or_else(|| self.tag.clone()).unwrap_or_else(|| "latest".to_owned())
    }

    /// The host to connect to.
    pub(super) fn server(&self) -> &str {
        if self.host == "docker.io" { "registry-1.docker.io" } else { &self.host }
    }

    /// Whether it is on a loopback address or one for benchmarks (RFC 2544), so that plain HTTP is acceptable.
    pub(super) fn near(&self) -> bool {
        let name = match self.host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => &self.host,
        };
        let name = name.trim_matches(['[', ']']);
        let lab = |ip: Ipv4Addr| ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18;
        name == "localhost"
            || name
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback() || matches!(ip, IpAddr::V4(ip) if lab(ip)))
    }
}

/// Docker's rule to recognise a host in the first part of a repository.
fn is_host(word: &str) -> bool {
    word == "localhost" || word.contains(['.', ':'])
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = digest::of(b"");
        let good = [
            ("alpine", "docker.io/library/alpine"),
            ("grafana/grafana:11", "docker.io/grafana/grafana:11"),
            ("localhost/a/b", "localhost/a/b"),
            ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            (&format!("quay.io/a/b@{digest}"), &format!("quay.io/a/b@{digest}")),
        ];
        for (text, whole) in good {
            assert_eq!(Reference::parse(text).unwrap().to_string(), whole);
        }
        for bad in
            ["", "Alpine", "a/", "/a", "a:", "a:b c", "https://a.b/c", "a@sha256:1", "a.b/../c", "a b.c/d"]
        {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
        let near = ["localhost/a", "127.0.0.1:5/a", "[::1]:5/a", "198.18.0.2:5000/a", "198.19.9.9/a"];
        assert!(near.iter().all(|text| Reference::parse(text).unwrap().near()));
        let far = ["198.20.0.1/a", "alpine", "localhost.evil.example/a", "10.0.0.1:5000/a"];
        assert!(!far.iter().any(|text| Reference::parse(text).unwrap().near()));
    }
}
