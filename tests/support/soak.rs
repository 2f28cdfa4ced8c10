//! Many inputs for one parser: a short run in every test, ten million by `scripts/soak`.
//!
//! Input n of a seed is always the same, so that a run resumes where it stopped, and one input can be examined alone.
//! `LSX_SOAK` has `inputs=N,seconds=S,seed=X,at=N`; each may be left out. Failures are written to target/soak.

use crate::{Dice, top};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The seed of the short run.
const SEED: u64 = 0x5eed;

/// The settings.
struct Wanted {
    inputs: u64,
    seconds: u64,
    seed: u64,
    at: Option<u64>,
    long: bool,
}

fn wanted(short: u64) -> Wanted {
    let text = std::env::var("LSX_SOAK").unwrap_or_default();
    let get = |key: &str| {
        let value = text.split(',').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='));
        value.map(|value| {
            value.parse::<u64>().unwrap_or_else(|_| panic!("LSX_SOAK: {key}={value} is no number"))
        })
    };
    let long = !text.is_empty();
    Wanted {
        inputs: get("inputs").unwrap_or(if long { 10_000_000 } else { short }),
        seconds: get("seconds").unwrap_or(if long { u64::MAX } else { 20 }),
        seed: get("seed").unwrap_or(SEED),
        at: get("at"),
        long,
    }
}

fn state(parser: &str) -> PathBuf {
    top("target/soak").join(format!("{parser}.json"))
}

/// Where a run with this seed stopped.
fn begun(parser: &str, seed: u64) -> (u64, u64) {
    let text = std::fs::read_to_string(state(parser)).unwrap_or_default();
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    match state["seed"] == seed {
        true => (state["inputs"].as_u64().unwrap_or(0), state["valid"].as_u64().unwrap_or(0)),
        false => (0, 0),
    }
}

/// The random generator of one input: neighbouring inputs are independent (the finaliser of SplitMix64).
fn dice(seed: u64, n: u64) -> Dice {
    let mut z = seed.wrapping_add((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Dice((z ^ (z >> 31)).max(1))
}

/// Runs a parser on inputs; `read` returns whether one was valid. `share` is the minimum percentage of valid ones: with
/// fewer the inputs do not get past the first checks.
///
/// # Panics
/// If an input crashes the parser, or too few are valid.
pub fn soak(
    parser: &str,
    short: u64,
    share: u64,
    make: impl Fn(&mut Dice) -> Vec<u8>,
    read: impl Fn(&[u8]) -> bool,
) {
    soak_parsed(parser, short, share, make, |input| read(&input), |input| input);
}

/// The same with inputs that are not text; `text` is what is printed and written to a file.
///
/// # Panics
/// As [`soak`].
pub fn soak_parsed<T>(
    parser: &str,
    short: u64,
    share: u64,
    make: impl Fn(&mut Dice) -> T,
    read: impl Fn(T) -> bool,
    text: impl Fn(T) -> Vec<u8>,
) {
    let wanted = wanted(short);
    let (mut n, mut valid) =
        if wanted.long && wanted.at.is_none() { begun(parser, wanted.seed) } else { (0, 0) };
    if let Some(at) = wanted.at {
        let input = || make(&mut dice(wanted.seed, at));
        let shown = text(input());
        say(&format!("{parser}: seed {} input {at}\n{}", wanted.seed, String::from_utf8_lossy(&shown)));
        return say(&format!("{parser}: valid: {}", read(input())));
    }
    let (start, first) = (Instant::now(), n);
    let end = Duration::from_secs(wanted.seconds);
    while n < wanted.inputs && start.elapsed() < end {
        let input = || make(&mut dice(wanted.seed, n));
        match catch_unwind(AssertUnwindSafe(|| read(input()))) {
            Ok(good) => valid += u64::from(good),
            Err(_) => {
                let path = top("target/soak").join(format!("{parser}-{}-{n}", wanted.seed));
                let _ = std::fs::create_dir_all(top("target/soak"));
                let _ = std::fs::write(&path, text(input()));
                panic!("{parser}: input {n} of seed {} ended it: {}", wanted.seed, path.display());
            }
        }
        n += 1;
        if wanted.long && n % 10_000 == 0 {
            keep(parser, &wanted, n, valid);
        }
    }
    if wanted.long {
        keep(parser, &wanted, n, valid);
        let rate = (n - first) as f64 / start.elapsed().as_secs_f64().max(0.001);
        say(&format!(
            "{parser}: seed {}: {n} inputs, {valid} valid, {rate:.0} a second, no panic",
            wanted.seed
        ));
    }
    assert!(n < 100 || valid * 100 >= n * share, "{parser}: only {valid} of {n} are valid: too shallow");
}

fn keep(parser: &str, wanted: &Wanted, inputs: u64, valid: u64) {
    let _ = std::fs::create_dir_all(top("target/soak"));
    let text = json!({"seed": wanted.seed, "inputs": inputs, "valid": valid}).to_string();
    let _ = std::fs::write(state(parser), text + "\n");
}

#[expect(clippy::print_stdout, reason = "scripts/soak shows it")]
fn say(line: &str) {
    println!("{line}");
}
