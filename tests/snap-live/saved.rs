//! What is saved is what was there, as Debian's restic restores it.

use crate::vault::{KEY, Vault};

pub(crate) const CASES: &[crate::Case] =
    &[("restic_restores_what_was_taken", restic_restores_what_was_taken)];

/// Files of all kinds, below the folder of a volume.
pub(crate) const FILES: &str = r#"mkdir -p a/b empty; chmod 2750 a; chmod 1777 empty; chown 999:998 . a; chmod 0751 .
    printf 'words\n' >a/words; chown 100165:100165 a/words; ln a/words a/b/again; ln -s ../nowhere a/link; chown -h 7:8 a/link
    head -c 3000000 /dev/urandom >a/much; cp a/much a/copy; truncate -s 16M a/holes; printf end >>a/holes
    mkfifo a/pipe; mknod a/null c 1 3; mknod a/disk b 7 200; chmod 640 a/null; cp /bin/true a/tool; chmod 4755 a/tool; cp /bin/true a/cap; setcap cap_net_raw+ep a/cap
    setfattr -n user.note -v 'a value' a/words; setfattr -n trusted.note -v deep a; setfattr -n user.raw -v 0x00ff0a a/much
    setfacl -m u:1234:r a/much; setfacl -d -m g:55:rx a/b
    printf x >"$(printf 'a/new\nline')"; printf y >"$(printf 'a/\377\376raw')"; printf z >'a/-rf *"'"'"'\'; printf u >a/ünï; : >"a/$(printf 'n%.0s' $(seq 250))"
    touch -h -d '1999-12-31 23:59:59.123456789' a/link a/words; touch -d '2040-01-01 00:00:00.5' a/b; touch -d '2001-02-03' ."#;

/// Compares two folders by other programs. Folders have no number of links that can be compared.
pub(crate) const SAME: &str = r#"all() { cd $1
        find . ! -type d -printf '%p %y %m %U:%G %n %T@ %s %l\n' | sort; find . -type d -printf '%p %y %m %U:%G %T@\n' | sort
        find . -print0 | sort -z | xargs -0 getfattr -hd -m- -e hex 2>/dev/null | grep -v -e trusted.lsx -e ^# -e ^$ | sort
        find . -print0 | sort -z | xargs -0 getcap; find . ! -type l -print0 | sort -z | xargs -0 getfacl -pn
        find . -samefile a/words | sort; find . -type c -print -o -type b -print | sort | xargs stat -c '%n %t %T'
        find . -type f -print0 | sort -z | xargs -0 md5sum; }
    (all $1) >/tmp/one; (all $2) >/tmp/two; test $(wc -l </tmp/one) -gt 100; diff -a /tmp/one /tmp/two
    # The mark of lsx on the folder itself is not saved.
    rsync -naAXHic --delete $1/ $2/ | grep -a -v -x '.d........x [.]/' >/tmp/rsync || true; cat /tmp/rsync; test ! -s /tmp/rsync"#;

fn restic_restores_what_was_taken(vault: &Vault) {
    let file = vault.stack("office");
    vault.start(&file);
    assert_eq!(vault.snap(&["up", &file]).ok().json()["status"]["snap"]["changed"], 0);
    let never = vault.snap(&["check", &file]).exits(2);
    assert!(never.stdout.contains("snapshot job both has never run"), "{}", never.stdout);
    // A folder of btrfs that is no subvolume is the volume `logs`.
    let kinds = "cd /var/lib/lsx/volumes/office; btrfs subvolume show db >/dev/null; stat -c %i db; test $(stat -c %i logs) != 256";
    assert_eq!(vault.host(kinds), "256\n");
    vault.host(&format!("for v in db logs; do cd /var/lib/lsx/volumes/office/$v; {FILES}; cd /; done"));
    let taken = vault.take(&file);
    let brief: Vec<(&str, bool, bool)> = taken
        .iter()
        .map(|one| {
            assert!(one["added_bytes"].as_u64().unwrap() > 0 && one["files"].as_u64().unwrap() > 15, "{one}");
            let said = |key: &str| one[key].as_bool().unwrap();
            (one["volume"].as_str().unwrap(), said("consistent"), said("complete"))
        })
        .collect();
    assert_eq!(brief, [("db", true, true), ("logs", false, true)]);
    assert_eq!(vault.snap(&["check", &file]).ok().json()["ok"], true);
    let list = vault.snap(&["list", "db", "--stack", &file]).ok().json();
    assert_eq!(
        (&list["snapshots"][0]["id"], list["snapshots"].as_array().unwrap().len()),
        (&taken[0]["id"], 1)
    );

    vault.restic("office", "check --read-data").ok();
    let seen = vault.restic("office", "snapshots --json").ok().json();
    let tags = seen[0]["tags"].to_string();
    for tag in ["lsx-stack=office", "lsx-volume=db", "lsx-job=both", "lsx-snap=", "lsx-consistent"] {
        assert!(tags.contains(tag), "{tags}");
    }
    assert_eq!((&seen[0]["hostname"], &seen[0]["paths"][0]), (&"h1".into(), &"/office/db".into()));
    for one in &taken {
        let (id, volume) = (one["id"].as_str().unwrap(), one["volume"].as_str().unwrap());
        vault.restic("office", &format!("restore {id} --target /plain/back")).ok();
        let two = [format!("/var/lib/lsx/volumes/office/{volume}"), format!("/plain/back/office/{volume}")];
        vault.lab.exec("h1", &["bash", "-euc", SAME, "same", &two[0], &two[1]]).ok();
    }
    vault.host("rm -r /plain/back");

    // The second run adds what is new alone.
    vault.host("echo new >/var/lib/lsx/volumes/office/db/a/new");
    let again = vault.take(&file);
    assert!(again.iter().all(|one| one["added_bytes"].as_u64().unwrap() < 60_000), "{again:?}");
    assert_eq!(
        vault
            .restic("office", &format!("dump {} /office/db/a/new", again[0]["id"].as_str().unwrap()))
            .ok()
            .stdout,
        "new\n"
    );
    vault.restic("office", "check").ok();

    // The password is in one file, for root alone; nothing of a run is left beside the volumes.
    let secret = format!(
        "grep -rl '{KEY}' /etc /run /var/lib/lsx /repo /big 2>/dev/null; stat -c '%a %u' /var/lib/lsx/secrets/office/snap/backup; ls -A /big/office"
    );
    assert_eq!(vault.host(&secret), "/var/lib/lsx/secrets/office/snap/backup\n600 0\ndb\nlogs\n");
    assert!(!vault.snap(&["plan", &file]).ok().stdout.contains(KEY));

    // Down keeps the repository, which is found again.
    let down = vault.snap(&["down", &file]).ok();
    assert!(down.stderr.contains("data"), "{}", down.stderr);
    assert_eq!(vault.host("ls -d /etc/lsx/office/snap.json /var/lib/lsx/secrets/office /etc/lsx/boot.d/*office-snap 2>/dev/null || true"), "");
    vault.restic("office", "check").ok();
    vault.snap(&["up", "-q", &file]).ok();
    assert_eq!(vault.snap(&["list", "--stack", &file]).ok().json()["snapshots"].as_array().unwrap().len(), 4);
    vault.end(&file, "office");
}
