//! What a host is to have: as the document says, or what `down` leaves. Pure.

use super::signer::Signer;
use crate::Pki;
use crate::model::{Certificate, Intent, Object, Own, Root, State, Use};
use common::document;
use common::plan::{Have, Object as _};
use common::stack::resolved::CertificateAt;
use common::stack::{Resolved, Stack, Usage};
use common::tool::{Draft, PlanInput, Tool as _};

/// Default lifetime of a certificate, in seconds.
const LIFE: u64 = 90 * 86_400;

/// What a host is to have of this tool.
pub(super) struct Wanted {
    pub(super) own: Vec<Own>,
    pub(super) intent: Option<Intent>,
}

/// What a host is to have.
pub(super) fn up(
    input: &PlanInput<()>,
    (stack, resolved): (&Stack, &Resolved),
    signer: Option<&Signer>,
    (host, haves): (&str, &[Have<Object>]),
    draft: &mut Draft<Pki>,
) -> Wanted {
    let mut all = Vec::new();
    if let Some(signer) = signer {
        all.extend((signer.host == host).then(|| Own::Authority(signer.authority.clone())));
        all.push(Own::Root(Root { state: State::Valid }));
    }
    let here = resolved.certificates.iter().filter(|at| at.host == host);
    let mut certificates: Vec<Certificate> = here
        .filter(|at| signer.is_some() && input.only.certificate(&at.name))
        .map(|at| wanted(stack, at))
        .collect();
    for own in own(haves) {
        match own {
            Own::Certificate(one) if certificates.iter().all(|other| other.name != one.name) => {
                let named = resolved.certificates.iter().any(|at| at.host == host && at.name == one.name);
                if !named && input.prune && input.only.certificate(&one.name) {
                    continue;
                }
                draft.kept.extend((!named).then(|| format!("{host}: certificate {}", one.name)));
                certificates.push(one);
            }
            Own::Authority(_) | Own::Root(_) if signer.is_none() => {
                draft.kept.extend(Own::called(&own).map(|(name, _)| format!("{host}: {name}")));
                all.push(own);
            }
            _ => {}
        }
    }
    certificates.sort_by(|a, b| a.name.cmp(&b.name));
    all.extend(certificates.into_iter().map(Own::Certificate));
    let intent = intent(&input.stack, host, &all);
    Wanted { own: all, intent }
}

/// A certificate as the document says.
pub(super) fn wanted(stack: &Stack, at: &CertificateAt) -> Certificate {
    let said = stack.pki.as_ref().and_then(|pki| pki.certificates.get(&at.name));
    let uses = |usage: &Usage| match usage {
        Usage::Server => Use::Server,
        Usage::Client => Use::Client,
    };
    let mut usage: Vec<Use> = said.iter().flat_map(|said| &said.usage).map(uses).collect();
    if usage.is_empty() {
        usage.push(Use::Server);
    }
    let (mut names, mut addresses) = (at.names.clone(), at.addresses.clone());
    usage.sort();
    usage.dedup();
    names.sort();
    names.dedup();
    addresses.sort();
    addresses.dedup();
    let life_s = life(stack, &at.name);
    Certificate { name: at.name.clone(), names, addresses, usage, life_s, state: State::Valid }
}

/// The lifetime of a certificate in seconds.
pub(super) fn life(stack: &Stack, name: &str) -> u64 {
    let Some(pki) = &stack.pki else { return LIFE };
    let own = pki.certificates.get(name).and_then(|said| said.life);
    own.or(pki.life).map_or(LIFE, |span| span.0)
}

/// Without data to be destroyed the authority stays; so does what is not selected.
pub(super) fn down(input: &PlanInput<()>, host: &str, haves: &[Have<Object>]) -> Wanted {
    // No certificate is called so: it is selected if all are.
    let all = input.only.certificate("");
    let mut left = own(haves);
    left.retain(|own| match own {
        Own::Authority(_) => !(all && input.destroy_data),
        Own::Root(_) => !all,
        Own::Certificate(one) => !input.only.certificate(&one.name),
    });
    let intent = if all { None } else { intent(&input.stack, host, &left) };
    Wanted { own: left, intent }
}

/// The intent of a host; none if it has nothing.
pub(super) fn intent(stack: &str, host: &str, all: &[Own]) -> Option<Intent> {
    let name = |own: &Own| match own {
        Own::Certificate(one) => Some(one.name.clone()),
        _ => None,
    };
    (!all.is_empty()).then(|| Intent {
        schema: document::schema(Pki::NAME, "intent"),
        stack: stack.to_owned(),
        host: host.to_owned(),
        authority: all.iter().any(|own| matches!(own, Own::Authority(_))),
        certificates: all.iter().filter_map(name).collect(),
    })
}

pub(super) fn own(haves: &[Have<Object>]) -> Vec<Own> {
    haves.iter().filter_map(|have| have.object.own().cloned()).collect()
}
