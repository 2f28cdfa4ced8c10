//! Observes this host: its authority, the root's certificate, and certificates. Reads only.

use crate::model::{Facts, Object, Own, Root};
use crate::{Pki, plan, seen};
use common::host::kept::{self, Keeper};
use common::tool::{Observation, Tool as _};
use common::{Failure, fleet};

/// Reads the objects of one stack, or of all.
///
/// # Errors
/// Kind `Denied` without root.
pub(crate) fn observe(stack: Option<&str>) -> Result<Observation<Object, Facts>, Failure> {
    common::host::root()?;
    let mut facts = Facts { program: fleet::installed_path(Pki::SET), ..Facts::default() };
    let (mut objects, mut warnings) = (Vec::new(), Vec::new());
    for name in stack.map_or_else(kept::found::<Pki>, |stack| [stack.to_owned()].into()) {
        let found = Keeper::of::<Pki>(&name).observe()?;
        warnings.extend(found.warnings.clone());
        objects.extend(plan::haves(own(&name, &mut facts), found.objects(plan::key)));
    }
    Ok((objects, facts, warnings))
}

/// The tool's own objects of a stack.
fn own(stack: &str, facts: &mut Facts) -> Vec<Own> {
    let mut all = Vec::new();
    if let Some((authority, seen)) = seen::authority(stack) {
        all.push(Own::Authority(authority));
        facts.authorities.push(seen);
    }
    let mut anchor = None;
    if let Some((state, seen, read)) = seen::root(stack) {
        all.push(Own::Root(Root { state }));
        facts.roots.push(seen);
        anchor = read;
    }
    for name in seen::names(stack) {
        let (certificate, seen) = seen::certificate(stack, &name, anchor.as_ref());
        all.push(Own::Certificate(certificate));
        facts.certificates.push(seen);
    }
    all
}
