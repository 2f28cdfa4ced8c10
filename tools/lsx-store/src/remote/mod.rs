//! The verbs on objects of any S3 server: `put get ls rm mb rb sign`.

mod at;
mod far;
mod fetch;
mod list;
mod place;
mod send;
mod who;

use crate::client::Ask;
use crate::model::{Done, Right};
use at::At;
use clap::Subcommand;
use common::stdio::Output;
use common::{Failure, Failures, Kind, log};
use far::Far;
use place::Place;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest time in seconds that a URL may be valid.
const WEEK: u64 = 7 * 24 * 3600;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Send a file to a bucket
    Put {
        /// The file; `-` is standard input
        file: PathBuf,
        /// BUCKET/KEY; a KEY that ends with `/` gets the name of the file
        place: String,
        #[command(flatten)]
        at: At,
    },
    /// Fetch an object
    Get {
        /// BUCKET/KEY
        place: String,
        /// The file, which is replaced, or a folder; `-` is standard output; default: the end of the key, in the current folder
        file: Option<PathBuf>,
        #[command(flatten)]
        at: At,
    },
    /// List buckets, or what is in one
    Ls {
        /// BUCKET, or BUCKET/BEGINNING of keys; default: all buckets of the user
        place: Option<String>,
        /// Show keys below each `/`, too
        #[arg(long, short)]
        recursive: bool,
        #[command(flatten)]
        at: At,
    },
    /// Remove objects; one that is not there counts as removed, and one that cannot be removed does not stop the others
    Rm {
        /// BUCKET/KEY
        #[arg(required = true)]
        places: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Make a bucket; those of a stack are made by its file
    Mb {
        /// Its name
        bucket: String,
        #[command(flatten)]
        at: At,
    },
    /// Remove an empty bucket
    Rb {
        /// Its name
        bucket: String,
        #[command(flatten)]
        at: At,
    },
    /// Print a URL by which anybody can get an object, for some time
    Sign {
        /// BUCKET/KEY
        place: String,
        /// How long the URL is valid, from 1s to 7d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = common::cli::duration)]
        expires: Duration,
        /// A URL by which it can be put
        #[arg(long)]
        put: bool,
        #[command(flatten)]
        at: At,
    },
}

/// Carries a verb out.
///
/// # Errors
/// Wrong names; a server that does not answer, or refuses; a file that cannot be read or written.
pub(crate) fn run(verb: &Verb, output: &Output) -> Result<(), Failures> {
    match verb {
        Verb::Put { file, place, at } => {
            let place = Place::of_file(place, file)?;
            let far = Arc::new(Far::of(at, Some(&place.bucket), Right::Put)?);
            Ok(output.emit(&[send::put(&far, &place, file)?])?)
        }
        Verb::Get { place, file, at } => {
            let place = Place::object(place)?;
            let file = fetch::target(&place, file.as_deref())?;
            let far = Far::of(at, Some(&place.bucket), Right::Get)?;
            match fetch::get(&far, &place, file.as_deref())? {
                Some(done) => Ok(output.emit(&[done])?),
                None => Ok(()),
            }
        }
        Verb::Ls { place, recursive, at } => {
            let place = place.as_deref().map(Place::beginning).transpose()?;
            let far = Far::of(at, place.as_ref().map(|place| place.bucket.as_str()), Right::List)?;
            Ok(output.emit(&[list::list(&far, place.as_ref(), *recursive)?])?)
        }
        Verb::Rm { places, at } => {
            let places = places.iter().map(|place| Place::object(place)).collect::<Result<Vec<_>, _>>()?;
            let (mut done, mut failures) = (Vec::new(), Vec::new());
            for (n, place) in places.iter().enumerate() {
                match removed(at, place) {
                    Ok(one) => done.push(one),
                    Err(more) => failures.extend(more.0),
                }
                // A server that is away is not asked for each of them.
                if failures.iter().any(|failure| failure.kind == Kind::Unreachable) {
                    let left = places.len() - n - 1;
                    if left > 0 {
                        log::warning(&format!("{left} further objects were not tried"));
                    }
                    break;
                }
            }
            if !done.is_empty() {
                output.emit(&done)?;
            }
            Failures(failures).verdict()
        }
        Verb::Mb { bucket, at } => bucket_done(("mb", "PUT"), bucket, at, output),
        Verb::Rb { bucket, at } => bucket_done(("rb", "DELETE"), bucket, at, output),
        Verb::Sign { place, expires, put, at } => {
            let place = Place::object(place)?;
            if !(1..=WEEK).contains(&expires.as_secs()) {
                let message = "a URL is valid for 1s to 7d".to_owned();
                return Err(Failure::new(Kind::Usage, "usage.expires", message).into());
            }
            let (method, right) = if *put { ("PUT", Right::Put) } else { ("GET", Right::Get) };
            let far = Far::of(at, Some(&place.bucket), right)?;
            Ok(output.text(&format!("{}\n", far.url(&place.ask(method), expires.as_secs())))?)
        }
    }
}

fn removed(at: &At, place: &Place) -> Result<Done, Failures> {
    let far = Far::of(at, Some(&place.bucket), Right::Delete)?;
    far.done(&place.ask("DELETE"))?;
    Ok(Done { key: Some(place.key.clone()), ..far.said("rm", &place.bucket) })
}

fn bucket_done((verb, method): (&str, &str), name: &str, at: &At, output: &Output) -> Result<(), Failures> {
    let bucket = place::bucket(name)?;
    let far = Far::of(at, Some(&bucket), Right::Put)?;
    let body = far.constraint();
    let body = if verb == "mb" { body.as_str() } else { "" };
    far.done(&Ask { method, bucket: Some(&bucket), body: body.as_bytes(), ..Ask::default() })?;
    Ok(output.emit(&[far.said(verb, &bucket)])?)
}
