//! Certificates in the configuration of HAProxy: where each is taken from, and the configuration without those that cannot be
//! used yet. Pure.

use super::folder;
use crate::model::{Balancer, Desired};
use common::document::digest;
use std::collections::{BTreeMap, BTreeSet};

/// How a line begins that says from which folder of the host a certificate is taken.
const FROM: &str = "# certificate ";
/// How a line begins that names a secret and its digest.
const SECRET: &str = "# secret ";
/// How an argument of `bind` names a certificate.
const ARGUMENT: &str = " crt ";

/// A certificate of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Certificate {
    /// The name of its file, with chain and key.
    pub(crate) file: String,
    /// The folder of the host that it is taken from.
    pub(crate) folder: String,
}

/// The certificate of a balancer.
fn of(one: &Balancer) -> Option<Certificate> {
    let (name, folder) = (one.tls.as_ref()?, one.folder.clone()?);
    // Another folder may have a similar name; the name of a certificate has no dot in front.
    let file = match name.contains('/') {
        true => format!(".{}.pem", digest(folder.as_bytes()).get(..16)?),
        false => format!("{name}.pem"),
    };
    Some(Certificate { file, folder })
}

/// The folder of the certificates that HAProxy reads.
pub(crate) fn read_from(stack: &str) -> String {
    format!("{}/certificates", folder(stack))
}

/// The lines at the head of a configuration.
pub(super) fn head(desired: &Desired) -> String {
    let all: BTreeSet<Certificate> = desired.balance.iter().filter_map(of).collect();
    let secrets: BTreeSet<(&str, &str)> = desired.balance.iter().filter_map(secret).collect();
    let secrets = secrets.into_iter().map(|(name, digest)| format!("{SECRET}{name} {digest}\n"));
    let all = all.iter().map(|one| format!("{FROM}{} {}\n", one.file, one.folder));
    all.chain(secrets).collect()
}

/// The secret of a balancer, and its digest: another value is another configuration.
fn secret(one: &Balancer) -> Option<(&str, &str)> {
    Some((one.tls.as_deref()?.strip_prefix("secret/")?, one.digest.as_deref()?))
}

/// The secrets of a configuration, with their digests.
pub(crate) fn secrets(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.strip_prefix(SECRET)?.split_once(' '))
}

/// The arguments of `bind` for the certificates of balancers.
pub(super) fn arguments<'a>(stack: &str, all: impl Iterator<Item = &'a Balancer>) -> String {
    let all: BTreeSet<Certificate> = all.filter_map(of).collect();
    all.iter().map(|one| format!("{ARGUMENT}{}/{}", read_from(stack), one.file)).collect()
}

/// The certificates of a configuration.
pub(crate) fn listed(text: &str) -> Vec<Certificate> {
    let one = |line: &str| {
        let (file, folder) = line.strip_prefix(FROM)?.split_once(' ')?;
        let plain = !file.is_empty() && !file.contains('/') && folder.starts_with('/');
        plain.then(|| Certificate { file: file.to_owned(), folder: folder.to_owned() })
    };
    let all = text.lines().filter_map(one).map(|one| (one.file.clone(), one));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// The configuration without some certificates. A port that none is left for is not opened.
pub(crate) fn without(text: &str, lacking: &BTreeSet<String>) -> String {
    let lacks = |argument: &str| lacking.iter().any(|file| argument.ends_with(&format!("/{file}")));
    let line = |line: &str| {
        let Some((bind, rest)) = line.split_once(ARGUMENT).filter(|_| line.starts_with("\tbind ")) else {
            return Some(line.to_owned());
        };
        let words: Vec<&str> = rest.split(ARGUMENT).collect();
        // After the last certificate further arguments follow.
        let (last, more) = words.last().and_then(|word| word.split_once(' ')).unwrap_or((words.last()?, ""));
        let all = words.iter().take(words.len() - 1).chain([&last]);
        let left: String = all.filter(|word| !lacks(word)).map(|word| format!("{ARGUMENT}{word}")).collect();
        let more = if more.is_empty() { String::new() } else { format!(" {more}") };
        (!left.is_empty()).then(|| format!("{bind}{left}{more}"))
    };
    text.lines().filter_map(line).map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_the_certificates_that_there_are() {
        let text = "# certificate a.pem /x/a\n# certificate .b.pem /x/b c\nfrontend f\n\tbind 0.0.0.0:443 ssl crt /r/a.pem crt /r/.b.pem alpn h2\n\tbind 0.0.0.0:80\n";
        assert_eq!(
            listed(text).iter().map(|one| one.folder.as_str()).collect::<Vec<_>>(),
            ["/x/b c", "/x/a"]
        );
        let bind = |lacking: &[&str]| {
            let lacking = lacking.iter().map(|file| (*file).to_owned()).collect();
            without(text, &lacking)
                .lines()
                .filter(|l| l.contains("443"))
                .map(str::to_owned)
                .collect::<String>()
        };
        assert_eq!(without(text, &BTreeSet::new()), text);
        assert_eq!(bind(&["a.pem"]), "\tbind 0.0.0.0:443 ssl crt /r/.b.pem alpn h2");
        assert_eq!(bind(&[".b.pem"]), "\tbind 0.0.0.0:443 ssl crt /r/a.pem alpn h2");
        assert_eq!(bind(&["a.pem", ".b.pem"]), "");
    }
}
