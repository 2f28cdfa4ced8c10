//! The plan: first the authority, then what it issues, in a second wave: keys are made on the hosts that use them, and the authority signs. Pure.

mod able;
mod host;
mod signer;

use crate::Pki;
use crate::model::{Facts, Intent, Object, Own, Root, State};
use common::plan::{Have, Kept, Object as _, Want, Warning, diff};
use common::stack::{Resolved, Stack};
use common::tool::{Draft, Goal, Keeps, ObservedOf, PlanInput, Tool as _};
use common::{Failure, Failures, Kind, document};
use host::{Wanted, down, intent, life, own, up, wanted};
use signer::Signer;
use std::collections::BTreeMap;

/// Makes the plan.
///
/// # Errors
/// What is not supported yet, names for which the authority may not issue certificates, an authority that cannot be used.
pub fn plan(
    input: &PlanInput<()>,
    observed: &BTreeMap<String, ObservedOf<Pki>>,
) -> Result<Draft<Pki>, Failures> {
    let mut draft = Draft::<Pki>::default();
    if !matches!(input.goal, Goal::Boot(_)) && !input.only.section("pki") {
        return Ok(draft);
    }
    let signer = match &input.goal {
        Goal::Up(stack, resolved) => begun(input, (stack, resolved), observed, &mut draft)?,
        _ => None,
    };
    for (host, seen) in observed {
        let haves = judged(input, signer.as_ref(), seen);
        let wanted = match &input.goal {
            Goal::Up(stack, resolved) => {
                up(input, (stack, resolved), signer.as_ref(), (host, &haves), &mut draft)
            }
            Goal::Boot(kept) => Wanted { own: own(&haves), intent: Some(booted(kept)?) },
            Goal::Down => down(input, host, &haves),
        };
        let authority = |own: &Own| matches!(own, Own::Authority(_));
        let keeps = Keeps {
            intent: wanted.intent.as_ref(),
            program: &seen.seen.program,
            services: BTreeMap::new(),
            data: wanted.own.iter().any(authority),
        };
        let mut wants = draft.keep(&Pki, input, (host, seen), keeps)?;
        wants.extend(wanted.own.into_iter().map(want));
        let mut steps = diff(host, &wants, &haves);
        // What the authority issues waits for it.
        let issued = |step: &Object| step.own().is_some_and(|own| !authority(own));
        steps
            .iter_mut()
            .filter(|step| step.after.as_ref().is_some_and(issued))
            .for_each(|step| step.wave = 1);
        draft.steps.extend(steps);
    }
    signed(signer.as_ref(), &draft)?;
    let issues = draft.steps.iter().any(|step| step.wave > 0);
    draft.data.signer = signer.filter(|_| issues).map(|signer| signer.host).unwrap_or_default();
    draft.prune_texts();
    Ok(draft)
}

/// The authority of `up`, and what of the document it cannot do.
fn begun(
    input: &PlanInput<()>,
    (stack, resolved): (&Stack, &Resolved),
    observed: &BTreeMap<String, ObservedOf<Pki>>,
    draft: &mut Draft<Pki>,
) -> Result<Option<Signer>, Failures> {
    able::able(stack)?;
    let signer = Signer::of(stack, resolved, observed)?;
    let Some(own) = &signer else { return Ok(signer) };
    let asked = resolved.certificates.iter().filter(|at| input.only.certificate(&at.name));
    let mut refused: Vec<Failure> = asked.flat_map(|at| own.refuses(at)).collect();
    refused.dedup_by(|a, b| a.message == b.message && a.at == b.at);
    Failures(refused).verdict()?;
    draft.warnings.extend(own.kept(stack, resolved));
    let used = |name: &String| resolved.certificates.iter().any(|at| at.name == *name);
    let unused = stack.pki.iter().flat_map(|pki| pki.certificates.keys()).filter(|name| !used(name));
    draft.warnings.extend(unused.map(|name| Warning {
        code: "pki.plan.unused".to_owned(),
        message: format!("nobody uses certificate {name}, so it is not issued: write `for` for it"),
    }));
    Ok(signer)
}

/// What exists, where the authority knows better than the host: what another one has issued is foreign, and what ends
/// with the authority has the time that it can have.
fn judged(input: &PlanInput<()>, signer: Option<&Signer>, seen: &ObservedOf<Pki>) -> Vec<Have<Object>> {
    let mut haves = seen.objects.clone();
    let Some(authority) = signer.and_then(|signer| signer.seen.as_ref()) else { return haves };
    for have in &mut haves {
        let Object::Own(own) = &mut have.object else { continue };
        let of = |stack: &str| stack == authority.stack;
        match own {
            Own::Authority(_) => {}
            Own::Root(root) => {
                let known = seen.seen.roots.iter().find(|one| of(&one.stack));
                if root.state == State::Valid && known.is_some_and(|one| one.sha256 != authority.sha256) {
                    root.state = State::Foreign;
                }
            }
            Own::Certificate(one) => {
                let mut known = seen.seen.certificates.iter();
                let Some(known) = known.find(|at| of(&at.stack) && at.name == one.name) else { continue };
                if one.state == State::Valid && !known.root.is_empty() && known.root != authority.sha256 {
                    one.state = State::Foreign;
                }
                let last = known.not_after >= authority.not_after && !signer.is_some_and(|own| own.renewed);
                if let (Goal::Up(stack, _), true) = (&input.goal, last) {
                    one.life_s = one.life_s.max(life(stack, &one.name));
                }
            }
        }
    }
    haves
}

/// What has to be issued needs the host of the authority.
fn signed(signer: Option<&Signer>, draft: &Draft<Pki>) -> Result<(), Failures> {
    let Some(signer) = signer.filter(|signer| !signer.here) else { return Ok(()) };
    let told = |step: &common::plan::Step<Object>| {
        let (name, _) = step.after.as_ref()?.own()?.called()?;
        let message = format!("{name} has to come from {}, which does not take part", signer.host);
        let failure = Failure::new(Kind::Unreachable, "pki.plan.signer", message).on(&step.host);
        Some(failure.hint("run `lsx-pki up` with the host of the authority"))
    };
    Failures(draft.steps.iter().filter(|step| step.wave > 0).filter_map(told).collect()).verdict()
}

fn want(own: Own) -> Want<Object> {
    let why = match &own {
        Own::Authority(_) => "issues certificates",
        Own::Root(_) => "is what clients trust",
        Own::Certificate(_) => "is used on this host",
    };
    let needs = match &own {
        Own::Authority(_) => vec![format!("data:{}", Pki::NAME)],
        _ => Kept::below(Pki::NAME),
    };
    Want { key: own.key(), object: Object::Own(own), needs, why: why.to_owned() }
}

/// What exists on a host, in the order in which it is observed: a removal begins with the last.
pub fn haves(own: Vec<Own>, kept: Vec<Kept>) -> Vec<Have<Object>> {
    let kept = kept.into_iter().map(|kept| kept.have(Pki::NAME));
    let own = own.into_iter().map(|own| {
        let Want { key, object, needs, .. } = want(own);
        Have { key, object, needs }
    });
    kept.chain(own).collect()
}

/// What a host has where a document is up, for tests.
///
/// # Errors
/// As [`plan`].
pub fn raised(
    stack: &Stack,
    resolved: &Resolved,
    host: &str,
) -> Result<(Vec<Own>, Option<Intent>), Failures> {
    let signer = Signer::of(stack, resolved, &BTreeMap::new())?;
    let mut all = Vec::new();
    if let Some(signer) = &signer {
        all.extend((signer.host == host).then(|| Own::Authority(signer.authority.clone())));
        all.push(Own::Root(Root { state: State::Valid }));
        let here = resolved.certificates.iter().filter(|at| at.host == host);
        all.extend(here.map(|at| Own::Certificate(wanted(stack, at))));
    }
    let intent = intent(&stack.name, host, &all);
    Ok((all, intent))
}

fn booted(kept: &serde_json::Value) -> Result<Intent, Failure> {
    serde_json::from_value(kept.clone()).map_err(|e| {
        Failure::new(Kind::Data, "pki.intent", format!("the intent of this host cannot be read: {e}"))
            .hint("run `lsx-pki up` with the stack's document")
    })
}

/// The digest of an intent; stack and schema do not matter.
pub fn key(intent: &Intent) -> String {
    document::digest_of(&(&intent.host, intent.authority, &intent.certificates)).unwrap_or_default()
}

/// What a plan depends on.
pub fn base(objects: &[Have<Object>], seen: &Facts) -> String {
    let roots: Vec<&String> = seen.authorities.iter().map(|one| &one.sha256).collect();
    document::digest_of(&(objects, roots)).unwrap_or_default()
}
