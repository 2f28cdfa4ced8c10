//! The verb `key`: what a user of buckets needs, as a file of credentials that clients of S3 read.

use crate::secrets;
use common::stack::{Stack, hint};
use common::verb::StackArgs;
use common::{Failure, Failures, Kind};
use std::path::PathBuf;

/// The credentials of a user.
///
/// # Errors
/// A user that the document does not name; a secret that is no key.
pub(crate) fn of(name: &str, stack: &Stack, args: &StackArgs) -> Result<String, Failures> {
    let key = secret(name, stack, args)?;
    Ok(format!("[default]\naws_access_key_id = {name}\naws_secret_access_key = {key}\n"))
}

/// The secret key of a user.
///
/// # Errors
/// As [`of`].
pub(crate) fn secret(name: &str, stack: &Stack, args: &StackArgs) -> Result<String, Failures> {
    let users = stack.store.as_ref().map(|store| store.users.clone()).unwrap_or_default();
    let Some(user) = users.get(name) else {
        let failure =
            Failure::new(Kind::Usage, "usage.user", format!("store.users of the stack has no {name}"));
        let hint = match users.is_empty() {
            true => format!("write users: {{ {name}: {{ key: SECRET }} }} in `store`"),
            false => hint(name, users.keys().map(String::as_str)),
        };
        return Err(failure.hint(hint).into());
    };
    let beside = |path: &str| PathBuf::from(args.beside(path));
    let place = common::secret::place(&stack.secrets, &user.key, &beside)?;
    let value = common::secret::value(&stack.name, &user.key, &place)?;
    secrets::key(&value).map_err(|why| {
        let message = format!("secret {} is no key for S3: {why}", user.key);
        Failure::new(Kind::Data, "store.key", message).into()
    })
}
