//! The key of a request: of a user of the stack, or as programs for S3 find it in the environment and in a file of credentials.

use crate::client::sign::Key;
use crate::model::Right;
use common::host::{file, limit};
use common::stack::Stack;
use common::verb::StackArgs;
use common::{Failure, Failures, Kind};
use std::fs::File;
use std::path::Path;

/// A value of the environment that is not empty.
pub(super) fn set(name: &str) -> Option<String> {
    std::env::var_os(name)?.into_string().ok().filter(|value| !value.is_empty())
}

/// The key of a user of the stack: the named one, or the first that the bucket allows it.
pub(super) fn of_stack(
    args: &StackArgs,
    stack: &Stack,
    user: Option<&str>,
    bucket: Option<&str>,
    right: Right,
) -> Result<Key, Failures> {
    let store = stack.store.as_ref();
    let allowed = || {
        let of = store?.buckets.get(bucket?)?;
        let may = |rights: &[common::stack::Action]| rights.iter().any(|one| Right::from(*one) == right);
        of.allow.iter().find(|(_, rights)| may(rights)).map(|(user, _)| user.clone())
    };
    let any = || store.filter(|_| bucket.is_none())?.users.keys().next().cloned();
    let user = user.map(str::to_owned).or_else(allowed).or_else(any).ok_or_else(|| {
        let message = match bucket {
            Some(bucket) => format!("the stack allows nobody to do this in bucket {bucket}"),
            None => "the stack has no users of buckets".to_owned(),
        };
        Failure::new(Kind::Usage, "usage.user", message)
            .hint("name a user with --as, or another server with --endpoint")
    })?;
    let secret = crate::key::secret(&user, stack, args)?;
    Ok(Key { access: user, secret, token: None })
}

/// The key that other programs for S3 would use.
pub(super) fn of_environment() -> Result<Key, Failure> {
    if let (Some(access), Some(secret)) = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
        return Ok(Key { access, secret, token: set("AWS_SESSION_TOKEN") });
    }
    let home = || Some(format!("{}/.aws/credentials", set("HOME")?));
    let file = set("AWS_SHARED_CREDENTIALS_FILE").or_else(home);
    let profile = set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    let none = || {
        let message = "no key is there".to_owned();
        Failure::new(Kind::Usage, "usage.user", message).hint(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE; or name a stack with --stack",
        )
    };
    let file = file.filter(|file| Path::new(file).exists()).ok_or_else(none)?;
    let read = File::open(&file).map_err(|e| file::failure(Path::new(&file), "read", &e))?;
    let text = limit::read(read, limit::SECRET, &file)?;
    credentials(&String::from_utf8_lossy(&text), &profile).ok_or_else(|| {
        let message = format!("{file} has no key in profile {profile}");
        Failure::new(Kind::Usage, "usage.user", message).hint("AWS_PROFILE names another profile")
    })
}

/// The key of a profile in a file of credentials. Pure.
fn credentials(text: &str, profile: &str) -> Option<Key> {
    let (mut here, mut access, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            here = name.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| here) {
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "aws_access_key_id" => access = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    let plain = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    Some(Key { access: access.filter(plain)?, secret: secret.filter(plain)?, token: token.filter(plain) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_profile() {
        let text = "# mine\n[default]\naws_access_key_id = a\naws_secret_access_key=s=1\n[ other ]\naws_access_key_id=b\n";
        let key = credentials(text, "default").unwrap();
        assert_eq!((key.access.as_str(), key.secret.as_str()), ("a", "s=1"));
        assert!(credentials(text, "other").is_none() && credentials(text, "none").is_none());
    }
}
