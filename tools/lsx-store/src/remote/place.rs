//! Names of buckets and objects, as they are written on the command line. Pure.

use crate::client::Ask;
use crate::object::LONGEST;
use common::{Failure, Kind};
use std::path::Path;

/// A bucket, and a key or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Place {
    /// BUCKET/KEY.
    ///
    /// # Errors
    /// A name that is none; no key.
    pub(crate) fn object(text: &str) -> Result<Place, Failure> {
        let place = Place::beginning(text)?;
        match place.key.is_empty() {
            true => Err(wrong(format!("{text:?} names no object")).hint("write BUCKET/KEY")),
            false => Ok(place),
        }
    }

    /// BUCKET, or BUCKET/BEGINNING.
    ///
    /// # Errors
    /// A name that is none.
    pub(crate) fn beginning(text: &str) -> Result<Place, Failure> {
        let rest = text.strip_prefix("s3://").unwrap_or(text);
        let (name, key) = rest.split_once('/').unwrap_or((rest, ""));
        if key.len() > LONGEST {
            return Err(wrong(format!("the key has {} bytes; the most are {LONGEST}", key.len())));
        }
        Ok(Place { bucket: bucket(name)?, key: key.to_owned() })
    }

    /// BUCKET/KEY; BUCKET or BUCKET/FOLDER/ gets the name of a file.
    ///
    /// # Errors
    /// As [`Place::object`]; standard input has no name.
    pub(crate) fn of_file(text: &str, file: &Path) -> Result<Place, Failure> {
        let mut place = Place::beginning(text)?;
        if place.key.is_empty() || place.key.ends_with('/') {
            let name = file.file_name().filter(|_| file.as_os_str() != "-").and_then(|name| name.to_str());
            let name =
                name.ok_or_else(|| wrong(format!("{text:?} names no object")).hint("write BUCKET/KEY"))?;
            place.key.push_str(name);
        }
        Ok(place)
    }

    /// A request about the object.
    pub(crate) fn ask<'p>(&'p self, method: &'p str) -> Ask<'p> {
        Ask { method, bucket: Some(&self.bucket), key: Some(&self.key), ..Ask::default() }
    }

    /// The name of a file for the object: the end of its key, if that is a name.
    pub(crate) fn file_name(&self) -> Option<&str> {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        let good = !name.is_empty() && name.len() <= 255 && name != "." && name != "..";
        (good && !name.chars().any(char::is_control)).then_some(name)
    }
}

/// The name of a bucket. It becomes a part of a path: of the rules of S3 only what that needs is asked for here.
///
/// # Errors
/// If it is none.
pub(crate) fn bucket(name: &str) -> Result<String, Failure> {
    let name = name.strip_prefix("s3://").unwrap_or(name).trim_end_matches('/');
    let good = (1..=255).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    match good {
        true => Ok(name.to_owned()),
        false => {
            Err(wrong(format!("{name:?} is not the name of a bucket")).hint("write BUCKET or BUCKET/KEY"))
        }
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Kind::Usage, "usage.bucket", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_lead_nowhere_else() {
        for wrong in ["", "/", "..", "../x", "-x/y", "a b/c", "a?b/c", "a%2f/c", "s3://", "é/x", "a\n/b"] {
            assert!(Place::beginning(wrong).is_err(), "{wrong:?}");
        }
        assert!(Place::object("photos").is_err() && Place::object("photos/").is_err());
        let place = Place::object("s3://photos/a//b/../c").unwrap();
        assert_eq!((place.bucket.as_str(), place.key.as_str()), ("photos", "a//b/../c"));
        assert!(Place::object(&format!("b/{}", "x".repeat(1025))).is_err());
        assert_eq!(Place::of_file("b/x/", Path::new("/tmp/f.jpg")).unwrap().key, "x/f.jpg");
        assert_eq!(Place::of_file("b", Path::new("f.jpg")).unwrap().key, "f.jpg");
        assert!(Place::of_file("b/x/", Path::new("-")).is_err());
    }

    #[test]
    fn a_key_names_no_file_elsewhere() {
        let name =
            |key: &str| Place { bucket: "b".to_owned(), key: key.to_owned() }.file_name().map(str::to_owned);
        assert_eq!(name("a/b/c.txt").as_deref(), Some("c.txt"));
        for key in ["..", "a/..", "a/", "a/.", "a/b\n", "\u{1b}[2J", &"x".repeat(256)] {
            assert_eq!(name(key), None, "{key:?}");
        }
    }
}
