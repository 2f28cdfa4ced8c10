//! What S3 servers answer: errors, and pages of listings. Anybody may have written it. Pure.

use common::stack::printable;
use s3s::xml::{DeResult, Deserializer};

/// The most characters of a server's own words that are shown.
const WORDS: usize = 300;

/// What a server says when it refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// Such as `NoSuchKey`; none if it is no S3 server that answers.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Said {
    /// In words.
    pub(crate) fn words(&self) -> String {
        let Said { status, code, message } = self;
        match (code.is_empty(), message.is_empty()) {
            (true, _) => format!("HTTP {status}"),
            (false, true) => format!("{code} (HTTP {status})"),
            (false, false) => format!("{code} (HTTP {status}): {message}"),
        }
    }
}

/// An object of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified: String,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Item>,
    /// What several keys begin with.
    pub(crate) prefixes: Vec<String>,
    /// The names of buckets, with the times when they were made.
    pub(crate) buckets: Vec<(String, String)>,
    /// Where the next page begins; none if this is the last one.
    pub(crate) next: Option<String>,
}

/// A part of an upload: its number, size, and ETag.
pub(crate) type Part = (String, u64, String);

/// Words of others, as they can be shown.
pub(crate) fn shown(words: &str) -> String {
    let short: String = words.trim().chars().take(WORDS).collect();
    printable::line(&short).into_owned()
}

/// What an answer that refuses says.
pub(crate) fn refusal(status: u16, body: &[u8]) -> Said {
    let mut said = Said { status, ..Said::default() };
    let read = fields(body, "Error", |name, d| {
        match name {
            b"Code" => said.code = text(d)?,
            b"Message" => said.message = text(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    });
    let Some(()) = read else { return Said { status, ..Said::default() } };
    Said { status, code: shown(&said.code), message: shown(&said.message) }
}

/// Whether an answer with a good status is a refusal all the same, as those to requests that take long are.
pub(crate) fn late(status: u16, body: &[u8]) -> Option<Said> {
    let said = refusal(status, body);
    (!said.code.is_empty()).then_some(said)
}

/// A page of objects, whose keys are escaped as in URLs.
pub(crate) fn listed(body: &[u8]) -> Option<Listed> {
    let (mut page, mut more, mut next) = (Listed::default(), false, None);
    fields(body, "ListBucketResult", |name, d| {
        match name {
            b"IsTruncated" => more = text(d)? == "true",
            b"NextContinuationToken" => next = Some(text(d)?),
            b"Contents" => page.items.push(item(d)?),
            b"CommonPrefixes" => each(d, |name, d| match name {
                b"Prefix" => text(d).map(|prefix| {
                    page.prefixes.push(plain(&prefix));
                    true
                }),
                _ => Ok(false),
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    page.next = next.filter(|_| more);
    // A page that ends before the listing does, without a way on.
    (!more || page.next.is_some()).then_some(page)
}

fn item(d: &mut Deserializer<'_>) -> DeResult<Item> {
    let mut item = Item::default();
    each(d, |name, d| {
        match name {
            b"Key" => item.key = plain(&text(d)?),
            b"Size" => item.size = text(d)?.trim().parse().unwrap_or_default(),
            b"ETag" => item.etag = text(d)?.trim_matches('"').to_owned(),
            b"LastModified" => item.modified = text(d)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(item)
}

/// All buckets of a user.
pub(crate) fn buckets(body: &[u8]) -> Option<Listed> {
    let mut page = Listed::default();
    fields(body, "ListAllMyBucketsResult", |name, d| {
        if name != b"Buckets" {
            return Ok(false);
        }
        each(d, |_, d| {
            let (mut bucket, mut made) = <(String, String)>::default();
            each(d, |name, d| {
                match name {
                    b"Name" => bucket = text(d)?,
                    b"CreationDate" => made = text(d)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            page.buckets.push((bucket, made));
            Ok(true)
        })?;
        Ok(true)
    })?;
    Some(page)
}

/// The name of an upload that has begun.
pub(crate) fn upload_id(body: &[u8]) -> Option<String> {
    one(body, "InitiateMultipartUploadResult", b"UploadId")
}

/// The ETag of an upload that is complete.
pub(crate) fn completed(body: &[u8]) -> Option<String> {
    one(body, "CompleteMultipartUploadResult", b"ETag").map(|etag| etag.trim_matches('"').to_owned())
}

fn one(body: &[u8], root: &str, field: &[u8]) -> Option<String> {
    let mut found = None;
    fields(body, root, |name, d| match name == field {
        true => text(d).map(|value| {
            found = Some(value);
            true
        }),
        false => Ok(false),
    })?;
    found.filter(|value| !value.is_empty())
}

/// The parts of an upload.
pub(crate) fn parts(body: &[u8]) -> Option<Vec<Part>> {
    let mut all = Vec::new();
    fields(body, "ListPartsResult", |name, d| {
        if name != b"Part" {
            return Ok(false);
        }
        let mut part = Part::default();
        each(d, |name, d| {
            match name {
                b"PartNumber" => part.0 = text(d)?,
                b"Size" => part.1 = text(d)?.trim().parse().unwrap_or_default(),
                b"ETag" => part.2 = text(d)?.trim_matches('"').to_owned(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        all.push(part);
        Ok(true)
    })?;
    Some(all)
}

/// The elements in the outermost one of a body; `one` says whether it has read an element. None if it is something else.
fn fields(
    body: &[u8],
    root: &str,
    one: impl FnMut(&[u8], &mut Deserializer<'_>) -> DeResult<bool>,
) -> Option<()> {
    Deserializer::new(body).named_element(root, |d| each(d, one)).ok()
}

fn each(
    d: &mut Deserializer<'_>,
    mut one: impl FnMut(&[u8], &mut Deserializer<'_>) -> DeResult<bool>,
) -> DeResult<()> {
    d.for_each_element(|d, name| match one(name, d)? {
        true => Ok(()),
        // What is not known is passed over, whatever is in it.
        false => d.list_content::<String>("").map(drop),
    })
}

fn text(d: &mut Deserializer<'_>) -> DeResult<String> {
    d.text(|text| Ok(text.to_owned()))
}

/// A key that is escaped as in URLs. What is no escape stays as it is.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut all, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match (byte, digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                all.push(value);
                at += 2;
            }
            (b'+', _) => all.push(b' '),
            _ => all.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::Dice;

    const ERROR: &str = "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><X><Y/></X><Message>no\u{7} &lt;key&gt;</Message></Error>";
    const PAGE: &str = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>true</IsTruncated>\
        <NextContinuationToken>t</NextContinuationToken><Contents><Key>a%2Fb+c%0A%zz</Key><Size>7</Size>\
        <ETag>&quot;x&quot;</ETag><Owner><ID>o</ID></Owner></Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>";

    #[test]
    fn errors_and_pages_are_read() {
        let said = refusal(404, ERROR.as_bytes());
        assert_eq!(said.code, "NoSuchKey");
        assert!(!said.words().contains('\u{7}') && said.words().contains("<key>"), "{said:?}");
        assert_eq!(refusal(502, b"<html>Bad gateway</html>").words(), "HTTP 502");
        assert_eq!(late(200, PAGE.as_bytes()), None);
        assert!(late(200, ERROR.as_bytes()).is_some());
        let page = listed(PAGE.as_bytes()).unwrap();
        assert_eq!((page.next.as_deref(), page.prefixes), (Some("t"), vec!["p/".to_owned()]));
        let item = Item { key: "a/b c\n%zz".to_owned(), size: 7, etag: "x".to_owned(), ..Item::default() };
        assert_eq!(page.items, [item]);
        // A page that is not the last one, and does not say how to go on, would be taken for all.
        assert_eq!(listed(b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"), None);
        assert_eq!(listed(ERROR.as_bytes()), None);
        let uploads = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        assert_eq!(upload_id(uploads.as_bytes()).as_deref(), Some("u"));
        assert_eq!(upload_id(ERROR.as_bytes()), None);
    }

    #[test]
    fn nothing_panics_on_any_answer() {
        let mut dice = Dice(11);
        let pieces = [
            ERROR,
            PAGE,
            "<Error>",
            "<Code>",
            "</Code>",
            "<Contents>",
            "&#x;",
            "&a;",
            "<![CDATA[",
            "%",
            "%f",
            "é",
            "\u{0}",
            "<!DOCTYPE a [",
            "]>",
        ];
        for _ in 0..5_000 {
            let mut text: String = (0..dice.below(9)).map(|_| pieces[dice.below(pieces.len())]).collect();
            let cut = dice.below(text.len() + 1);
            if text.is_char_boundary(cut) {
                text.truncate(cut);
            }
            let bytes = text.as_bytes();
            let _ = (
                refusal(200, bytes),
                listed(bytes),
                buckets(bytes),
                parts(bytes),
                upload_id(bytes),
                completed(bytes),
            );
        }
    }
}
