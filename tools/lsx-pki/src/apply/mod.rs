//! Changes one object of this host to its wanted state; with the authority below, and keys, the only code that writes.

mod authority;
pub(crate) mod key;
pub(crate) mod sign;

use crate::chain::{self, ders};
use crate::model::{Certificate, Chains, Own, ROOT_TEXT, State};
use crate::places;
use crate::{read, seen};
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use std::collections::BTreeMap;
use std::path::Path;

/// Texts of a plan, by their keys.
type Texts = BTreeMap<String, String>;

/// Changes an object. What it was before a renewal cannot come back, and need not: the new one is as good.
///
/// # Errors
/// Errors of the file system, or what a host should have got and has not.
pub(crate) fn change(
    (stack, host): (&str, &str),
    texts: &Texts,
    before: Option<&Own>,
    after: Option<&Own>,
) -> Result<(), Failure> {
    match (before, after) {
        (Some(Own::Authority(_)), None) => file::remove_tree(&places::authority(stack))
            .and_then(|()| file::remove_tree(&places::issued(stack))),
        (Some(Own::Root(_)), None) => {
            file::remove(&places::root(stack))?;
            file::sweep(&places::of(stack));
            file::remove_empty(&places::of(stack));
            Ok(())
        }
        (Some(Own::Certificate(one)), None) => {
            file::remove_tree(&places::certificate(stack, &one.name))?;
            file::remove_empty(&places::certificates(stack));
            file::remove_empty(&places::of(stack));
            Ok(())
        }
        (_, Some(Own::Authority(wanted))) if wanted.state == State::Valid => authority::make(stack, wanted),
        (_, Some(Own::Root(root))) if root.state == State::Valid => {
            let text = texts.get(ROOT_TEXT).ok_or_else(|| lacks("the root's certificate"))?;
            write(&places::root(stack), text)
        }
        (_, Some(Own::Certificate(one))) if one.state == State::Valid => {
            let all: Option<Chains> = texts.get(&one.name).and_then(|text| serde_json::from_str(text).ok());
            let chain = all.and_then(|all| all.get(host).cloned());
            let chain = chain.ok_or_else(|| lacks(&format!("certificate {}", one.name)))?;
            take(stack, one, &chain, texts.get(ROOT_TEXT))
        }
        _ => Ok(()),
    }
}

fn lacks(what: &str) -> Failure {
    Failure::new(Kind::Bug, "pki.handed", format!("{what} was not handed to this host"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    file::write(path, text.as_bytes(), Mode::Private).map(|_| ())
}

/// Writes the chain of a certificate; what is read by others comes last, so that a killed run leaves the one before.
/// It must be good by the clock of this host, too, and lead to the root that this plan brings, or else to the one that is here.
fn take(stack: &str, one: &Certificate, chain: &str, root: Option<&String>) -> Result<(), Failure> {
    let (name, folder) = (&one.name, places::certificate(stack, &one.name));
    let wrong = |why: String| Failure::new(Kind::Failed, "pki.handed", format!("certificate {name}: {why}"));
    let root = match root {
        Some(text) => read::certificates(text.as_bytes()),
        None => seen::certificates(&places::root(stack)).map_err(|(_, why)| why),
    };
    let root = root.map_err(wrong)?;
    let all = read::certificates(chain.as_bytes()).map_err(wrong)?;
    let pem = |part: &[read::Read]| part.iter().map(read::Read::pem).collect::<String>();
    let (leaf, between) = all.split_at(1);
    if (&leaf[0].names, &leaf[0].addresses) != (&one.names, &one.addresses) {
        return Err(wrong("it is for other names".to_owned()));
    }
    chain::leads(&leaf[0].der, &ders(between), &root[0].der, &one.usage, seen::now()).map_err(wrong)?;
    key::belongs(&folder, &leaf[0])?;
    write(&folder.join(places::CERT), &pem(leaf))?;
    write(&folder.join(places::CHAIN), &pem(between))?;
    write(&folder.join(places::FULL), &pem(&all))
}
