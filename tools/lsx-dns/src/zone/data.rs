//! The data of records in the form of the crate `domain`. Pure.

use super::{Rdata, name};
use crate::model::Data;
use domain::base::RecordData as _;
use domain::rdata::caa::{Caa, CaaFlags, CaaTag};
use domain::rdata::{A, Aaaa, Cname, Mx, Ns, Ptr, Srv, Txt};

/// Type and data of a record, as in zone files.
pub(super) fn text(data: &Data) -> Option<(String, String)> {
    let data = of(data).ok()?;
    Some((data.rtype().to_string(), data.to_string()))
}

/// The data of a record.
///
/// # Errors
/// A name or a text that DNS does not allow.
pub(super) fn of(data: &Data) -> Result<Rdata, String> {
    Ok(match data {
        Data::A(address) => A::new(*address).into(),
        Data::Aaaa(address) => Aaaa::new(*address).into(),
        Data::Cname(target) => Cname::new(name(target)?).into(),
        Data::Mx(preference, host) => Mx::new(*preference, name(host)?).into(),
        Data::Txt(text) => {
            let txt = Txt::<Vec<u8>>::build_from_slice(text.as_bytes());
            txt.map_err(|e| format!("a text is too long: {e}"))?.into()
        }
        Data::Srv(priority, weight, port, host) => Srv::new(*priority, *weight, *port, name(host)?).into(),
        Data::Ptr(target) => Ptr::new(name(target)?).into(),
        Data::Ns(server) => Ns::new(name(server)?).into(),
        Data::Caa(flags, tag, value) => {
            let tag = CaaTag::from_octets(tag.clone().into_bytes());
            let tag = tag.map_err(|e| format!("not a tag of CAA: {e}"))?;
            Caa::new(CaaFlags::new(*flags), tag, value.clone().into_bytes()).into()
        }
    })
}
