//! Thousands of archives and documents of images: each gives an answer.

use super::*;
use crate::image::entries::Entries;
use crate::image::limits::BOUNDS;
use lsx_tests::{Corpus, Dice, soak};

/// Archives of every kind of entry.
fn archives() -> Vec<Vec<u8>> {
    let mut pax = Tar::new();
    let attributes =
        b"27 path=a/very/long/name/x\n30 mtime=1700000000.123456789\n28 SCHILY.xattr.user.a=b\nc\n";
    pax.raw(EntryType::XHeader, "pax", "", attributes, |_| {});
    let mut long = Tar::new();
    long.raw(EntryType::GNULongName, "././@LongLink", "", &[b'n'; 300], |_| {});
    let mut device = Tar::new();
    device.raw(EntryType::Char, "dev/null", "", b"", |header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    });
    vec![
        Tar::new().folder("a").file("a/b", "data").symlink("a/c", "b").link("a/d", "a/b").bytes(),
        pax.file("x", "data").bytes(),
        long.file("x", "data").folder("y").bytes(),
        device.file("etc/.wh.passwd", "").file("etc/.wh..wh..opq", "").bytes(),
    ]
}

/// An archive of whole entries, some headers of which have other fields and a correct checksum.
fn archive(all: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut blocks: Vec<[u8; 512]> = Vec::new();
    for _ in 0..=dice.below(2) {
        let one = &all[dice.below(all.len())];
        blocks.extend(one.chunks_exact(512).map(|block| <[u8; 512]>::try_from(block).unwrap()));
    }
    let is_header = |block: &[u8; 512]| &block[257..262] == b"ustar";
    for _ in 0..=dice.below(3) {
        let at = dice.below(blocks.len());
        match dice.below(6) {
            0 => drop(blocks.remove(at)),
            1 => blocks.insert(at, blocks[dice.below(blocks.len())]),
            2 => blocks[at][dice.below(512)] ^= 1 << dice.below(8),
            _ => {
                let headers: Vec<usize> = (0..blocks.len()).filter(|&n| is_header(&blocks[n])).collect();
                let Some(&at) = headers.get(dice.below(headers.len())) else { continue };
                field(&mut blocks[at], dice);
            }
        }
        if blocks.is_empty() {
            break;
        }
    }
    let mut bytes = blocks.concat();
    if dice.below(8) == 0 {
        bytes.truncate(dice.below(bytes.len() + 1));
    }
    bytes
}

/// Another value in a field of a header, and the matching checksum.
fn field(block: &mut [u8; 512], dice: &mut Dice) {
    let (at, len, words): (usize, usize, &[&[u8]]) = match dice.below(6) {
        0 => (
            0,
            100,
            &[b"../x", b"/etc/passwd", b"a/../../b", b"", b".", b"a//b", &[0xff; 100], b".wh.", b"a/b/c/d"],
        ),
        1 => (157, 100, &[b"/", b"../..", b"a", b"", &[b'l'; 100]]),
        2 => (
            124,
            12,
            &[
                b"77777777777",
                b"00000000001",
                b"-1",
                b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
                b"",
                b"9",
            ],
        ),
        3 => (156, 1, &[b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"x", b"g", b"L", b"K", b"S", b"\0", b"Z"]),
        4 => (100, 8, &[b"7777777", b"0006755", b"", b"\x80\0\0\0\0\0\0\0"]),
        _ => (108, 16, &[b"7777777\x007777777", b"0200000\x000200000", b"\xff\xff\xff\xff\xff\xff\xff\xff"]),
    };
    let word = words[dice.below(words.len())];
    block[at..at + len].fill(0);
    block[at..at + word.len().min(len)].copy_from_slice(&word[..word.len().min(len)]);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

#[test]
fn soak_tar() {
    let all = archives();
    soak(
        "tar",
        20_000,
        25,
        |dice| archive(&all, dice),
        |input| {
            let mut entries = Entries::new(input, BOUNDS);
            loop {
                match entries.next() {
                    Ok(Some(entry)) => assert!(entry.name.len() <= 1 << 20 && entry.link.len() <= 1 << 20),
                    Ok(None) => return true,
                    Err(why) => {
                        assert!(!why.to_string().is_empty());
                        return false;
                    }
                }
            }
        },
    );
}

#[test]
fn soak_manifest() {
    let digest = digest::of(b"x");
    let layers = [
        (format!("{}+gzip", manifest::LAYER), digest.clone(), 5),
        (manifest::LAYER.to_owned(), digest.clone(), 7),
    ];
    let one: Value = serde_json::from_slice(&manifest::manifest((&digest, 9), &layers).unwrap()).unwrap();
    let configured: Value =
        serde_json::from_slice(&config(manifest::architecture(), std::slice::from_ref(&digest))).unwrap();
    let platform = json!({"architecture": manifest::architecture(), "os": "linux"});
    let list = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": manifest::MANIFEST, "digest": digest, "size": 9, "platform": platform},
        {"mediaType": manifest::MANIFEST, "digest": digest, "size": 9, "platform": {"architecture": "arm64", "os": "linux"}}]});
    let docker = json!({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest, "size": 9},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": digest, "size": 5}]});
    let corpus = Corpus::of(vec![one, configured, list, docker]);
    soak(
        "manifest",
        20_000,
        20,
        |dice| corpus.mutant(dice).to_string().into_bytes(),
        |input| {
            let converted = manifest::converted("soak", input.to_vec());
            if let Ok(bytes) = &converted {
                let _ = (manifest::is_manifest(bytes), manifest::is_index(bytes));
            }
            let config =
                manifest::config("soak", input).inspect(|config| drop(manifest::fits("soak", config)));
            let read = manifest::read("soak", input).is_ok();
            let chosen = manifest::choose("soak", input).is_ok();
            read || chosen || config.is_ok()
        },
    );
}
