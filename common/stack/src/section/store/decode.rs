//! The section `store`: reads it from the document.

use super::s3;
use super::{Borrower, Disk, DiskDriver, Pool, Registry, Store, StoreDriver, Volume};
use crate::decode::at::{At, string};
use crate::decode::words::{absolute, label, mode};
use crate::value::{Parsed, Size, Wrong, name, size};
use std::collections::BTreeMap;

const DRIVERS: [(&str, StoreDriver); 6] = [
    ("auto", StoreDriver::Auto),
    ("btrfs", StoreDriver::Btrfs),
    ("zfs", StoreDriver::Zfs),
    ("lvm", StoreDriver::Lvm),
    ("xfs", StoreDriver::Xfs),
    ("directory", StoreDriver::Directory),
];
const DISK_DRIVERS: [(&str, DiskDriver); 3] =
    [("auto", DiskDriver::Auto), ("lio", DiskDriver::Lio), ("tgt", DiskDriver::Tgt)];

pub(crate) fn store(at: At<'_, '_>) -> Option<Store> {
    let table = at.table()?;
    let store = Store {
        root: table.get("root", |at| at.parse(absolute)),
        driver: table.get("driver", |at| at.word(&DRIVERS)).unwrap_or_default(),
        pools: table.get("pools", pools).unwrap_or_default(),
        volumes: table.get("volumes", volumes).unwrap_or_default(),
        disks: table.get("disks", disks).unwrap_or_default(),
        s3: table.get("s3", s3::s3),
        users: table.get("users", s3::users).unwrap_or_default(),
        buckets: table.get("buckets", s3::buckets).unwrap_or_default(),
        registry: table.get("registry", registry),
    };
    table.finish();
    Some(store)
}

pub(super) fn pool(at: At<'_, '_>) -> Option<Pool> {
    let table = at.table()?;
    let pool = Pool {
        driver: table.get("driver", |at| at.word(&DRIVERS)),
        from: table.get("from", |at| at.parse(pool_from)),
    };
    table.finish();
    Some(pool)
}

pub(super) fn volume(at: At<'_, '_>) -> Option<Volume> {
    let table = at.table()?;
    let volume = Volume {
        size: table.get("size", |at| at.parse(size)),
        host: table.get("host", string),
        owner: table.get("owner", string),
        mode: table.get("mode", volume_mode),
        driver: table.get("driver", |at| at.word(&DRIVERS)),
    };
    table.finish();
    Some(volume)
}

pub(super) fn disk(at: At<'_, '_>) -> Option<Disk> {
    let table = at.table()?;
    let disk = Disk {
        size: table.need("size", |at| at.parse(size)).unwrap_or(Size(0)),
        host: table.need("host", string).unwrap_or_default(),
        driver: table.get("driver", |at| at.word(&DISK_DRIVERS)).unwrap_or_default(),
        network: table.need("network", string).unwrap_or_default(),
        to: table.need("to", |at| at.parse(borrower)).unwrap_or(Borrower::none()),
    };
    table.finish();
    Some(disk)
}

pub(super) fn registry(at: At<'_, '_>) -> Option<Registry> {
    let table = at.table()?;
    let registry = Registry {
        instance: table.need("instance", string).unwrap_or_default(),
        volume: table.need("volume", string).unwrap_or_default(),
        keep: table.get("keep", |at| at.number(1, 10000)),
    };
    table.finish();
    Some(registry)
}

fn pools(at: At<'_, '_>) -> Option<BTreeMap<String, Pool>> {
    at.named(pool)
}

fn volumes(at: At<'_, '_>) -> Option<BTreeMap<String, Volume>> {
    at.entries(label, volume)
}

fn disks(at: At<'_, '_>) -> Option<BTreeMap<String, Disk>> {
    at.entries(label, disk)
}

/// Octal digits; with the code that lsx-ct has always used for it.
fn volume_mode(at: At<'_, '_>) -> Option<u32> {
    match mode(at.text()?) {
        Ok(mode) => Some(mode),
        Err(_) => {
            let hint = "three or four octal digits in quotes, like \"0750\"".to_owned();
            at.mistake("stack.volume.mode", "not a file mode".to_owned(), hint);
            None
        }
    }
}

/// A volume group with a pool, a data set, or a folder.
fn pool_from(text: &str) -> Parsed<String> {
    let part = |part: &str| {
        !part.is_empty()
            && part != ".."
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b':'))
    };
    if text.trim_start_matches('/').split('/').all(part)
        && !text.starts_with(['-', '.'])
        && !text.starts_with("//")
    {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("`{text}` is not a source of volumes"), "like vg0/thin, tank/lsx or /data"))
}

/// A user of a disk.
fn borrower(text: &str) -> Parsed<Borrower> {
    let named = |rest: &str| name(rest).map(|()| rest.to_owned());
    match text.split_once('/') {
        Some(("instance", rest)) => named(rest).map(Borrower::Instance),
        Some(("host", rest)) => named(rest).map(Borrower::Host),
        _ => Err(Wrong::new(format!("`{text}` cannot use a disk"), "write instance/NAME or host/NAME")),
    }
}
