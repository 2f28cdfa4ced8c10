//! Between the two waves, on the operator's machine: requests of the hosts go to the authority, and its certificates to the hosts.

use crate::Pki;
use crate::apply::key::{Ask, Requests};
use crate::apply::sign::{Order, Signed, Wish, bytes};
use crate::model::{Certificate, Chains, Object, Own, ROOT_TEXT};
use crate::read;
use common::plan::Step;
use common::tool::{Each, Handed, PlanOf};
use common::{Failure, Failures, Kind, fleet};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Has what this part of a plan needs issued.
pub(crate) fn over(part: &PlanOf<Pki>, each: Each<'_>) -> Handed {
    let mut handed = Handed::default();
    let issued: Vec<(&str, &Own)> = part.steps.iter().filter_map(asked).collect();
    if issued.is_empty() {
        return handed;
    }
    let certificates = issued.iter().filter_map(|(host, own)| match own {
        Own::Certificate(one) => Some((*host, one)),
        _ => None,
    });
    let wishes = requested(&part.stack, certificates.collect(), &mut *each, &mut handed.failed);
    let order = Order { stack: part.stack.clone(), certificates: wishes };
    let signed = match signed(&part.data.signer, &order, each) {
        Ok(signed) => signed,
        Err(failures) => {
            let hosts = issued.iter().map(|(host, _)| (*host).to_owned());
            hosts.for_each(|host| _ = handed.failed.entry(host).or_insert_with(|| failures.clone()));
            return handed;
        }
    };
    let mut chains: BTreeMap<String, Chains> = BTreeMap::new();
    for (wish, chain) in order.certificates.into_iter().zip(signed.chains) {
        chains.entry(wish.name).or_default().insert(wish.host, chain);
    }
    handed.texts = chains.into_iter().map(|(name, chains)| (name, json!(chains).to_string())).collect();
    handed.texts.insert(ROOT_TEXT.to_owned(), signed.root);
    handed
}

/// What a step needs of the authority, and the step's host.
fn asked(step: &Step<Object>) -> Option<(&str, &Own)> {
    let own = step.after.as_ref()?.own()?;
    Some((step.host.as_str(), own))
}

/// The wishes of hosts, with their requests.
fn requested(
    stack: &str,
    certificates: Vec<(&str, &Certificate)>,
    each: Each<'_>,
    failed: &mut BTreeMap<String, Failures>,
) -> Vec<Wish> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (host, one) in &certificates {
        names.entry((*host).to_owned()).or_default().push(one.name.clone());
    }
    let ask = |(host, names)| (host, json!(Ask { stack: stack.to_owned(), names }));
    let asked: BTreeMap<String, Value> = names.into_iter().map(ask).collect();
    let answers = if asked.is_empty() { BTreeMap::new() } else { each("requests", asked) };
    let mut requests: BTreeMap<String, Requests> = BTreeMap::new();
    for (host, answer) in answers {
        let of_host = answer.and_then(|answer| Ok(fleet::shape::<Requests>(answer)?));
        let mine = certificates.iter().filter(|(at, _)| *at == host).map(|(_, one)| one.name.as_str());
        match of_host.and_then(|of_host| good(&host, of_host, mine)) {
            Ok(of_host) => _ = requests.insert(host, of_host),
            Err(failures) => _ = failed.insert(host, failures),
        }
    }
    let wish = |(host, one): (&str, &Certificate)| {
        let request = requests.get(host)?.get(&one.name)?.clone();
        Some(Wish {
            host: host.to_owned(),
            name: one.name.clone(),
            names: one.names.clone(),
            addresses: one.addresses.clone(),
            usage: one.usage.clone(),
            life_s: one.life_s,
            request,
        })
    };
    certificates.into_iter().filter_map(wish).collect()
}

/// The requests of a host, which says of each certificate that it has its key: so a bad one stops this host alone.
fn good<'a>(
    host: &str,
    mut all: Requests,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<Requests, Failures> {
    let wrong = |name: &str, why: String| {
        let message = format!("the request of {host} for certificate {name} is refused: {why}");
        Failures::from(Failure::new(Kind::Failed, "pki.refused", message))
    };
    let mut found = Requests::new();
    for name in wanted {
        let request = all.remove(name).ok_or_else(|| wrong(name, "it is missing".to_owned()))?;
        let der =
            Some(&request).filter(|request| request.len() <= 2 * read::REQUEST).and_then(|text| bytes(text));
        let der = der.ok_or_else(|| wrong(name, "it is damaged".to_owned()))?;
        read::request(&der).map_err(|why| wrong(name, why))?;
        found.insert(name.to_owned(), request);
    }
    Ok(found)
}

fn signed(signer: &str, order: &Order, each: Each<'_>) -> Result<Signed, Failures> {
    let mut answers = each("sign", [(signer.to_owned(), json!(order))].into());
    let none = || Failure::new(Kind::Unreachable, "pki.plan.signer", format!("{signer} did not answer"));
    let answer = answers.remove(signer).unwrap_or_else(|| Err(none().into()))?;
    let signed: Signed = fleet::shape(answer)?;
    let wrong = |why: &str| Failure::new(Kind::Failed, "pki.refused", format!("{signer} {why}"));
    if signed.chains.len() != order.certificates.len() {
        return Err(wrong("has issued another number of certificates").into());
    }
    Ok(signed)
}
