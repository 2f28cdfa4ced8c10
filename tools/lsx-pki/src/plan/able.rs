//! What the document says that lsx-pki cannot do yet: it must not seem to work. Pure.

use common::stack::{Certificate, KeyAlgorithm, Pki, Stack};
use common::{Failure, Failures, Kind};

/// A place in the document, why it is refused, and what to write instead.
type Refused = (String, &'static str, &'static str);

/// Refuses what is not supported yet.
///
/// # Errors
/// All places.
pub(super) fn able(stack: &Stack) -> Result<(), Failures> {
    let Some(pki) = &stack.pki else { return Ok(()) };
    let mut refused = of_authority(pki);
    for (name, certificate) in &pki.certificates {
        refused.extend(of_certificate(name, certificate));
    }
    let failure = |(at, message, hint): Refused| {
        Failure::new(Kind::Data, "pki.plan.unbuilt", message.to_owned()).at(at).hint(hint)
    };
    Failures(refused.into_iter().map(failure).collect()).verdict()
}

const ALGORITHM: &str = "only keys of ECDSA on P-256 are supported yet";
const LEAVE_OUT: &str = "leave it out";

fn of_authority(pki: &Pki) -> Vec<Refused> {
    let Some(authority) = &pki.authority else { return Vec::new() };
    let at = |key: &str| format!("pki.authority.{key}");
    let root_key = authority.root.as_ref().is_some_and(|root| root.key.is_some());
    let all = [
        (authority.existing.is_some(), "existing", "existing authorities are not supported yet", LEAVE_OUT),
        (
            authority.passphrase.is_some(),
            "passphrase",
            "keys are not encrypted on their host yet",
            "leave it out: root alone can read them",
        ),
        (
            root_key,
            "root.key",
            "the key of the root is on the host of the authority yet",
            "leave it out: root alone can read it",
        ),
        (authority.algorithm != KeyAlgorithm::P256, "algorithm", ALGORITHM, LEAVE_OUT),
    ];
    all.into_iter().filter(|(said, ..)| *said).map(|(_, key, why, hint)| (at(key), why, hint)).collect()
}

fn of_certificate(name: &str, certificate: &Certificate) -> Vec<Refused> {
    let at = |key: &str| format!("pki.certificates.{name}.{key}");
    let other = certificate.algorithm.is_some_and(|one| one != KeyAlgorithm::P256);
    let owner = "owners of keys are not supported yet";
    let all = [
        (other, "algorithm", ALGORITHM, LEAVE_OUT),
        (certificate.owner.is_some(), "owner", owner, "leave it out: they belong to root"),
        (
            certificate.mode.is_some(),
            "mode",
            "modes of keys are not supported yet",
            "leave it out: it is 0600",
        ),
    ];
    all.into_iter().filter(|(said, ..)| *said).map(|(_, key, why, hint)| (at(key), why, hint)).collect()
}
