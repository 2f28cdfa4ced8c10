//! Tags of objects: names with values, which a client gives by a header or by a body.

use super::Server;
use super::body::blocking;
use super::get::version;
use s3s::dto::{GetObjectTaggingInput, GetObjectTaggingOutput, Tag};
use s3s::{S3Result, s3_error};
use std::collections::BTreeMap;

/// The most tags of an object, and the most characters of a name and of a value (S3's limits).
const MOST: usize = 10;
const NAME: usize = 128;
const VALUE: usize = 256;

/// Tags by name.
type Tags = BTreeMap<String, String>;

/// Those of the header `x-amz-tagging`: `a=1&b=2`, escaped as in URLs.
pub(super) fn of_header(text: Option<&str>) -> S3Result<Tags> {
    let mut all = Vec::new();
    for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| {
            plain(text).ok_or_else(|| s3_error!(InvalidArgument, "x-amz-tagging is not escaped as in URLs"))
        };
        all.push((plain(name)?, plain(value)?));
    }
    valid(all)
}

/// Those of a body.
pub(super) fn of_body(tags: Vec<Tag>) -> S3Result<Tags> {
    let pair = |tag: Tag| match (tag.key, tag.value) {
        (Some(name), Some(value)) => Ok((name, value)),
        _ => Err(s3_error!(MalformedXML, "a tag has a Key and a Value")),
    };
    valid(tags.into_iter().map(pair).collect::<S3Result<_>>()?)
}

fn valid(all: Vec<(String, String)>) -> S3Result<Tags> {
    if all.len() > MOST {
        return Err(s3_error!(InvalidTag, "an object has at most {MOST} tags"));
    }
    let mut tags = Tags::new();
    for (name, value) in all {
        let good =
            |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
        if name.is_empty() || !good(&name, NAME) || !good(&value, VALUE) {
            return Err(s3_error!(
                InvalidTag,
                "the name of a tag has 1 to {NAME} characters, its value at most {VALUE}"
            ));
        }
        if tags.insert(name, value).is_some() {
            return Err(s3_error!(InvalidTag, "two tags have the same name"));
        }
    }
    Ok(tags)
}

/// A text without its escapes.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl Server {
    /// The tags of an object.
    pub(super) async fn tags(&self, input: GetObjectTaggingInput) -> S3Result<GetObjectTaggingOutput> {
        let about = self.found(&input.bucket, &input.key, input.version_id).await?.about;
        let version_id = version(&about);
        let tags = about.tags.into_iter();
        let tag_set = tags.map(|(name, value)| Tag { key: Some(name), value: Some(value) }).collect();
        Ok(GetObjectTaggingOutput { tag_set, version_id })
    }

    /// Gives it others.
    pub(super) async fn tag(
        &self,
        bucket: &str,
        key: String,
        version: Option<String>,
        tags: Tags,
    ) -> S3Result<()> {
        let bucket = self.bucket(bucket)?;
        blocking(move || bucket.tag(&key, version.as_deref(), tags)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsx_tests::Dice;

    fn code(text: &str) -> String {
        of_header(Some(text)).map_or_else(|e| e.code().as_str().to_owned(), |tags| format!("{tags:?}"))
    }

    #[test]
    fn tags_come_escaped_and_within_limits() {
        assert_eq!(of_header(None).unwrap(), Tags::new());
        assert_eq!(
            code("a=1&b=x%20y+z&c&gr%C3%B6%C3%9Fe=%3D"),
            r#"{"a": "1", "b": "x y z", "c": "", "größe": "="}"#
        );
        let many: Vec<String> = (0..=MOST).map(|n| format!("k{n}=v")).collect();
        let (name, value) = ("é".repeat(NAME), "v".repeat(VALUE));
        assert_eq!(of_header(Some(&format!("{name}={value}"))).unwrap().len(), 1);
        for wrong in [
            "a=1&a=2".to_owned(),
            "=1".to_owned(),
            "a=%00".to_owned(),
            many.join("&"),
            format!("{name}x=1"),
            format!("a={value}x"),
        ] {
            assert_eq!(code(&wrong), "InvalidTag", "{wrong}");
        }
        for wrong in ["a=%", "a=%4", "a=%zz", "a=%ff", "%-1=a"] {
            assert_eq!(code(wrong), "InvalidArgument", "{wrong}");
        }
        let lone = Tag { key: Some("a".to_owned()), value: None };
        assert_eq!(of_body(vec![lone]).unwrap_err().code().as_str(), "MalformedXML");
    }

    #[test]
    fn nothing_panics_on_any_tags() {
        let mut dice = Dice(11);
        let parts = ["&", "=", "%", "%C3", "%B6", "a", "+", "é", "0", "%2", "\u{0}"];
        for _ in 0..20_000 {
            let text: String = (0..dice.below(14)).map(|_| parts[dice.below(parts.len())]).collect();
            if let Ok(tags) = of_header(Some(&text)) {
                assert!(tags.keys().all(|name| !name.is_empty()), "{text}");
            }
        }
    }
}
