//! The data of records in the form of the crate `domain`, and back. Pure.

use super::{Rdata, name};
use crate::model::Data;
use common::document;
use domain::base::iana::Rtype;
use domain::base::name::{FlattenInto, ParsedName};
use domain::base::rdata::{ComposeRecordData, ParseRecordData, RecordData};
use domain::dep::octseq::Parser;
use domain::rdata::ZoneRecordData;
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
        Data::Other(kind, hex) => other(Rtype::from_int(*kind), hex).ok_or("damaged data of a record")?,
    })
}

/// Data from its bytes in hexadecimal; without compressed names.
fn other(kind: Rtype, hex: &str) -> Option<Rdata> {
    let digits = hex.is_ascii().then_some(hex.as_bytes())?;
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok();
    let bytes = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    let mut parser = Parser::from_ref(&bytes);
    let data = ZoneRecordData::<_, ParsedName<_>>::parse_rdata(kind, &mut parser).ok()??;
    (parser.remaining() == 0).then_some(())?;
    data.try_flatten_into().ok()
}

/// The data of a record as it is written.
pub(crate) fn written(data: &Rdata) -> Data {
    readable(data).filter(|readable| of(readable).is_ok_and(|same| same == *data)).unwrap_or_else(|| {
        let mut bytes = Vec::new();
        let _ = data.compose_rdata(&mut bytes);
        Data::Other(data.rtype().to_int(), document::hex(&bytes))
    })
}

fn readable(data: &Rdata) -> Option<Data> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(match data {
        Rdata::A(address) => Data::A(address.addr()),
        Rdata::Aaaa(address) => Data::Aaaa(address.addr()),
        Rdata::Cname(target) => Data::Cname(target.cname().to_string()),
        Rdata::Mx(mx) => Data::Mx(mx.preference(), mx.exchange().to_string()),
        Rdata::Txt(txt) => Data::Txt(text(&txt.text::<Vec<u8>>())?),
        Rdata::Srv(srv) => Data::Srv(srv.priority(), srv.weight(), srv.port(), srv.target().to_string()),
        Rdata::Ptr(target) => Data::Ptr(target.ptrdname().to_string()),
        _ => return None,
    })
}
