//! The section `meta`: reads it from the document.

use super::{Meta, Tokens};
use crate::decode::at::{At, string};
use crate::decode::words::source;

const TOKENS: [(&str, Tokens); 2] = [("optional", Tokens::Optional), ("required", Tokens::Required)];

pub(crate) fn meta(at: At<'_, '_>) -> Option<Meta> {
    let table = at.table()?;
    let meta = Meta {
        networks: table.get("networks", |at| at.many(string)).unwrap_or_default(),
        tokens: table.get("tokens", |at| at.word(&TOKENS)).unwrap_or_default(),
        vendor_data: table.get("vendor_data", |at| at.parse(source)),
    };
    table.finish();
    Some(meta)
}
