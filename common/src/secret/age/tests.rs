//! Tested against age itself: it encrypts and lsx decrypts, and the reverse.

#![allow(clippy::disallowed_methods, reason = "a test runs age itself")]

use super::header::INTRO;
use super::stream::{NONCE, PIECE, key, nonce};
use super::unwrap::{FileKey, SCRYPT, X25519};
use super::{BEGIN, Keys, bech32};
use crate::secret::derive::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use x25519_dalek::{PublicKey, StaticSecret};

/// Whether age is installed; with CI=true it must be.
fn age() -> bool {
    let here = Command::new("age").arg("--version").output().is_ok();
    assert!(here || std::env::var_os("CI").is_none(), "age is not here: scripts/setup --tests");
    if !here {
        eprintln!("SKIPPED: age is not here");
    }
    here
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

/// A folder with an identity of age-keygen; its recipient.
fn keygen() -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let made = Command::new("age-keygen").arg("-o").arg(&path).output().unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    (folder, path, recipient)
}

fn with_identity(path: &Path) -> Keys {
    Keys { identity: Some(path.to_owned()), passphrase: None }
}

/// Encrypts according to the format; only for tests.
fn encrypt(plain: &[u8], stanza: impl FnOnce(&[u8; 16]) -> String) -> Vec<u8> {
    let file: [u8; 16] = random();
    let mut bytes = INTRO.to_vec();
    bytes.extend(stanza(&file).into_bytes());
    bytes.extend(b"---");
    let seal = hmac::Key::new(hmac::HMAC_SHA256, &hkdf(&file, b"", &[b"header"], 32).unwrap());
    let tag = hmac::sign(&seal, &bytes);
    bytes.extend(format!(" {}\n", STANDARD_NO_PAD.encode(tag)).into_bytes());
    let first: [u8; NONCE] = random();
    bytes.extend(first);
    let content = key(&FileKey(file), &first).unwrap();
    let pieces: Vec<&[u8]> = if plain.is_empty() { vec![plain] } else { plain.chunks(PIECE).collect() };
    for (number, piece) in pieces.iter().enumerate() {
        let mut piece = piece.to_vec();
        let at = nonce(number as u64, number + 1 == pieces.len());
        content.seal_in_place_append_tag(at, Aad::empty(), &mut piece).unwrap();
        bytes.extend(piece);
    }
    bytes
}

fn wrapped(key: &[u8], file: &[u8; 16]) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap());
    let mut body = file.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut body).unwrap();
    STANDARD_NO_PAD.encode(body)
}

fn to_recipient(recipient: &str, file: &[u8; 16]) -> String {
    let public: [u8; 32] = bech32::decode("age", recipient).unwrap().try_into().unwrap();
    let secret = StaticSecret::from(random::<32>());
    let share = PublicKey::from(&secret).to_bytes();
    let shared = secret.diffie_hellman(&PublicKey::from(public));
    let wrap = hkdf(shared.as_bytes(), &[share, public].concat(), &[X25519], 32).unwrap();
    format!("-> X25519 {}\n{}\n", STANDARD_NO_PAD.encode(share), wrapped(&wrap, file))
}

fn to_passphrase(passphrase: &str, work: u8, file: &[u8; 16]) -> String {
    let salt: [u8; 16] = random();
    let mut wrap = [0; 32];
    let params = scrypt::Params::new(work, 8, 1).unwrap();
    scrypt::scrypt(passphrase.as_bytes(), &[SCRYPT, &salt].concat(), &params, &mut wrap).unwrap();
    format!("-> scrypt {} {work}\n{}\n", STANDARD_NO_PAD.encode(salt), wrapped(&wrap, file))
}

fn sizes() -> Vec<Vec<u8>> {
    [0, 1, 64, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]
        .map(|n| (0..n).map(|i| (i % 251) as u8).collect())
        .to_vec()
}

#[test]
fn what_age_encrypts_is_read() {
    if !age() {
        return;
    }
    let (folder, identity, recipient) = keygen();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    for content in sizes() {
        std::fs::write(&plain, &content).unwrap();
        for armor in [&[][..], &["-a"]] {
            let mut run = Command::new("age");
            run.args(armor).args(["-r", &recipient, "-o"]).arg(&sealed).arg(&plain);
            assert!(run.status().unwrap().success());
            let bytes = std::fs::read(&sealed).unwrap();
            assert_eq!(armor.is_empty(), !bytes.starts_with(BEGIN.as_bytes()));
            assert_eq!(with_identity(&identity).open(&bytes, 1 << 20).unwrap(), content);
        }
    }
}

#[test]
fn what_is_written_as_the_format_says_age_reads() {
    if !age() {
        return;
    }
    let (folder, identity, recipient) = keygen();
    let sealed = folder.path().join("sealed");
    for content in sizes() {
        let bytes = encrypt(&content, |file| to_recipient(&recipient, file));
        std::fs::write(&sealed, &bytes).unwrap();
        let read = Command::new("age").args(["-d", "-i"]).arg(&identity).arg(&sealed).output().unwrap();
        assert_eq!(read.stdout, content, "{}", String::from_utf8_lossy(&read.stderr));
        assert_eq!(with_identity(&identity).open(&bytes, 1 << 20).unwrap(), content);
    }
}

/// age asks for a passphrase only on a terminal, so it runs in script(1).
#[test]
fn passphrases_go_both_ways() {
    if !age() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (plain, sealed, word) =
        (folder.path().join("plain"), folder.path().join("sealed"), folder.path().join("word"));
    std::fs::write(&plain, "content").unwrap();
    std::fs::write(&word, "correct horse\n").unwrap();
    let keys = Keys { identity: None, passphrase: Some(word.clone()) };
    let typed = |command: String| {
        let run = format!(
            "(sleep 1; echo 'correct horse'; sleep 1; echo 'correct horse'; sleep 2) | script -qec '{command}' /dev/null"
        );
        Command::new("sh").args(["-c", &run]).output().unwrap()
    };
    typed(format!("age -p -o {} {}", sealed.display(), plain.display()));
    assert_eq!(keys.open(&std::fs::read(&sealed).unwrap(), 100).unwrap(), b"content");
    std::fs::write(&sealed, encrypt(b"ours", |file| to_passphrase("correct horse", 10, file))).unwrap();
    let out = folder.path().join("out");
    typed(format!("age -d -o {} {}", out.display(), sealed.display()));
    assert_eq!(std::fs::read(&out).unwrap(), b"ours");
}

#[test]
fn an_identity_may_be_locked_with_a_passphrase() {
    if !age() {
        return;
    }
    let (folder, identity, recipient) = keygen();
    let word = folder.path().join("word");
    std::fs::write(&word, "open").unwrap();
    let locked = encrypt(&std::fs::read(&identity).unwrap(), |file| to_passphrase("open", 10, file));
    std::fs::write(&identity, locked).unwrap();
    let bytes = encrypt(b"inner", |file| to_recipient(&recipient, file));
    let keys = Keys { identity: Some(identity), passphrase: Some(word) };
    assert_eq!(keys.open(&bytes, 100).unwrap(), b"inner");
}

#[test]
fn what_is_wrong_is_told_and_nothing_of_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let (word, key) = (folder.path().join("word"), folder.path().join("key"));
    std::fs::write(&word, "open").unwrap();
    std::fs::write(&key, "AGE-SECRET-KEY-1QQQQ\n").unwrap();
    let keys = Keys { identity: Some(key), passphrase: Some(word) };
    let good = encrypt(b"inner", |file| to_passphrase("open", 10, file));
    let told = |bytes: &[u8]| keys.open(bytes, 4).unwrap_err().to_string();
    assert!(told(&good).contains("more than 4 bytes"));
    assert!(told(b"hunter2").contains("not encrypted by age"));
    assert!(told(&encrypt(b"", |file| to_passphrase("other", 10, file))).contains("passphrase is wrong"));
    let heavy = encrypt(b"", |file| to_passphrase("open", 10, file));
    let heavy = String::from_utf8_lossy(&heavy).replacen(" 10\n", " 21\n", 1).into_bytes();
    assert!(told(&heavy).contains("2^21"));
    let no_identity = encrypt(b"", |_| format!("-> X25519 {}\n{}\n", "A".repeat(43), "A".repeat(43)));
    let failure = told(&no_identity);
    assert!(failure.contains("not an identity") && !failure.contains("QQQQ"), "{failure}");
    // Any byte that is changed, and any that is missing, is found.
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        // Each try costs a run of scrypt; the content alone takes none.
        if at < INTRO.len() || at % 16 == 0 {
            assert!(keys.open(&bytes, 100).is_err(), "byte {at}");
            assert!(keys.open(&good[..at], 100).is_err(), "{at} bytes");
        }
    }
}
