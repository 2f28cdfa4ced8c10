//! What is not there or not what it should be: nothing is written, and the message says why.

use crate::vault::{KEY, Vault, text};
use lsx_tests::lab::{until, wait};

pub(crate) const CASES: &[crate::Case] = &[("what_is_wrong_is_told", what_is_wrong_is_told)];

fn what_is_wrong_is_told(vault: &Vault) {
    let file = vault.stack("wrong");
    vault.store(&["up", "-q", &file]).ok();
    let take = |words: &str, code: i32| {
        let ran = vault.snap(&["take", "--stack", &file]).exits(code);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    take("this host does not have what the document says of these snapshot jobs", 1);
    vault.snap(&["take", "none", "--stack", &file]).exits(64).says("has no snapshot job none");
    vault.snap(&["up", "-q", &file]).ok();

    // Something else is where the repository would be.
    vault.host("mkdir /repo/wrong; echo theirs >/repo/wrong/file");
    take("/repo/wrong is no repository, and is not empty", 1);
    assert_eq!(vault.host("cd /repo/wrong; ls -A; cat file; rm -r /repo/wrong"), "file\ntheirs\n");
    begun_or_not(vault, &file);

    // Who has the repository alone is not disturbed, and who has died does not disturb.
    let lock = "locked() { ls /repo/wrong/locks | grep -qx '[0-9a-f]\\{64\\}'; }; cd /root
        for n in $(seq 50); do restic --no-cache -q -r /repo/wrong -p key check --read-data >/root/said 2>&1 & pid=$!
        for i in $(seq 400); do ! locked || break; sleep 0.005; done; kill -STOP $pid || true; ! locked || break; kill -CONT $pid || true; wait $pid || true; done
        echo $pid >/root/pid; wait";
    let held = vault.lab.start("h1", &["bash", "-c", lock]);
    assert!(until(60, || vault.lab.script("h1", "test -s /root/pid").code == 0));
    assert_eq!(vault.host("ls /repo/wrong/locks | wc -l"), "1\n");
    let busy = vault.snap(&["take", "--stack", &file]).exits(75);
    assert!(busy.stderr.contains("has the repository at /repo/wrong for itself"), "{}", busy.stderr);
    vault.host("kill -KILL $(cat /root/pid)");
    let _ = wait(held, "restic check".to_owned());
    vault.take(&file);
    assert_eq!(vault.host("ls -A /repo/wrong/locks"), "");

    // The repository is not there any more, or another one is.
    vault.host("mv /repo/wrong /repo/aside");
    take("the repository is not at /repo/wrong any more", 1);
    assert_eq!(vault.host("ls -A /repo"), "aside\n");
    let gone = vault.snap(&["check", &file]).exits(2);
    assert!(gone.stdout.contains("snap.missing") && gone.stdout.contains("snap.run"), "{}", gone.stdout);
    vault.host("restic --no-cache -q -r /repo/wrong -p /root/key init");
    take("another repository is at /repo/wrong", 1);
    vault.host("rm -r /repo/wrong; mv /repo/aside /repo/wrong");
    vault.take(&file);

    // Another password.
    let key = vault.lab.folder.path().join("key");
    std::fs::write(&key, "another one\n").unwrap();
    vault.snap(&["up", "-q", &file]).ok();
    take("the key does not open the repository at /repo/wrong", 1);
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    vault.snap(&["up", "-q", &file]).ok();

    some_is_not_saved(vault, &file);
    mounted_or_deep(vault, &file);
    not_as_the_document_says(vault, &file);
    vault.end(&file, "wrong");
}

fn begun_or_not(vault: &Vault, file: &str) {
    // Whatever it is called: what lsx-snap has not begun is somebody else's.
    vault.host("mkdir -p /repo/wrong/keys; cd /repo/wrong/keys; echo mine >office.key; echo '{}' >$(printf a | sha256sum | cut -c-64)");
    vault.snap(&["take", "--stack", file]).exits(1).says("/repo/wrong is no repository, and is not empty");
    assert_eq!(
        vault.host("cd /repo/wrong; find . -type f | wc -l; ls -A; cat keys/office.key"),
        "2\nkeys\nmine\n"
    );
    // What a killed run has begun is finished: a key without a configuration.
    vault.host("touch /repo/wrong/.lsx-begun");
    vault.take(file);
    assert_eq!(
        vault.host(
            "cd /repo/wrong; ls keys | wc -l; cat keys/office.key; ls -A | grep lsx || rm keys/office.key"
        ),
        "2\nmine\n"
    );
    vault.restic("wrong", "check").ok();
}

fn some_is_not_saved(vault: &Vault, file: &str) {
    // What cannot be saved is named, and the rest is saved; no link leads out of a volume.
    vault.host("cd /var/lib/lsx/volumes/wrong/db; btrfs subvolume create sub; echo in >sub/file; echo own >own; ln -s /root out");
    let partly = vault.snap(&["take", "--stack", file]).exits(1);
    assert!(
        partly.stderr.contains("1 files or folders of volume db are not in its snapshot: /wrong/db/sub"),
        "{}",
        partly.stderr
    );
    let taken = partly.json();
    assert_eq!(
        (&taken["snapshots"][0]["complete"], &taken["snapshots"][1]["complete"]),
        (&false.into(), &true.into())
    );
    let id = taken["snapshots"][0]["id"].as_str().unwrap();
    let list = vault.snap(&["list", "db", "--stack", file]).ok().json();
    let last = list["snapshots"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["id"], &last["incomplete"]), (&id.into(), &true.into()));
    assert_eq!(
        vault.restic("wrong", &format!("ls {id}")).ok().stdout,
        "/wrong\n/wrong/db\n/wrong/db/out\n/wrong/db/own\n/wrong/db/sub\n"
    );
    assert!(
        vault.snap(&["check", file]).exits(2).stdout.contains("the last run of snapshot job both failed")
    );
    vault.host("btrfs subvolume delete /big/wrong/db/sub");

    // A volume that is not there is not saved as an empty one.
    vault.host("umount /var/lib/lsx/volumes/wrong/logs; mv /big/wrong/logs /big/wrong/aside; mkdir -p /var/lib/lsx/volumes/wrong/logs");
    vault.snap(&["take", "--stack", file]).exits(1).says("volume logs is not mounted");
    vault.host("mv /big/wrong/aside /big/wrong/logs");
    vault.store(&["up", "-q", file]).ok();
    vault.take(file);
    vault.restic("wrong", "check").ok();
}

fn mounted_or_deep(vault: &Vault, file: &str) {
    vault.host("cd /var/lib/lsx/volumes/wrong/logs; echo below >bound; mkdir dir; mount --bind /root/key bound; mount --bind /root dir
        d=zdeep; for i in $(seq 510); do d=$d/x; done; mkdir -p $d; cd ../db; echo below >bound; mount --bind /root/key bound");
    let partly = vault.snap(&["take", "--stack", file]).exits(1);
    for words in [
        "1 files or folders of volume db are not in its snapshot: /wrong/db/bound: something is mounted there",
        "3 files or folders of volume logs are not in its snapshot: /wrong/logs/bound: something is mounted there",
        "/wrong/logs/dir: something is mounted there",
        "more than 500 folders are in each other",
    ] {
        assert!(partly.stderr.contains(words), "{words}: {}", partly.stderr);
    }
    let list = vault.restic("wrong", "ls latest --tag lsx-volume=logs").ok().stdout;
    assert!(!list.contains("/wrong/logs/bound") && !list.contains("/wrong/logs/dir"), "{list}");
    vault.host("cd /var/lib/lsx/volumes/wrong; umount logs/bound logs/dir db/bound; cd logs; rm -r bound dir zdeep ../db/bound");
    vault.take(file);
}

fn not_as_the_document_says(vault: &Vault, file: &str) {
    let other = |name: &str, from: &str, to: &str| {
        let text = text("wrong");
        assert!(text.contains(from), "{text}");
        vault.lab.file(&format!("{name}.yaml"), &text.replace(from, to))
    };
    // A job that is not up yet is not left out; the others are taken.
    let more = other("more", "what: { both:", "what: { logs: { every: 1h, to: disk }, both:");
    vault.snap(&["take", "--stack", &more]).exits(1).says("run `lsx-snap up` first");
    vault.snap(&["take", "both", "--stack", &more]).ok();
    vault.snap(&["take", "--only", "snap.both", "--stack", &more]).ok();
    vault.snap(&["take", "logs", "--stack", &more]).exits(1).says("run `lsx-snap up` first");

    // A repository that a job has got since its last run has nothing yet.
    let two = "key: backup }, other: { repository: \"local:/repo/aside\", key: backup } }";
    let two = other("two", "key: backup } }", two);
    let text = std::fs::read_to_string(&two).unwrap().replace("to: disk }", "to: [disk, other] }");
    std::fs::write(&two, text).unwrap();
    vault.snap(&["up", "-q", &two]).ok();
    let never = vault.snap(&["check", &two]).exits(2).stdout;
    let words = "has never saved volume db in repository other, volume logs in repository other";
    assert!(never.contains("snap.unsaved") && never.contains(words), "{never}");
    vault.take(&two);
    vault.snap(&["check", &two]).ok();
    // One that cannot be read hides no other.
    vault.host("mv /repo/aside/config /root/config");
    let list = vault.snap(&["list", "--stack", &two]).exits(1);
    assert!(list.stderr.contains("/repo/aside"), "{}", list.stderr);
    let list = list.json()["snapshots"].as_array().unwrap().clone();
    assert!(list.len() > 2 && list.iter().all(|one| one["repository"] == "disk"), "{list:?}");
    // Another one is in its place.
    vault.host("rm -r /repo/aside /root/config; restic --no-cache -q -r /repo/aside -p /root/key init");
    let replaced = vault.snap(&["check", &two]).exits(2).stdout;
    assert!(replaced.contains("snap.replaced"), "{replaced}");
    vault.host("rm -r /repo/aside");

    // A repository in a volume that it saves is not made, whatever its path says.
    let inside = other("inside", "local:/repo/wrong", "local:/root/way/repo");
    vault.host("ln -s /big/wrong/logs /root/way");
    vault.snap(&["up", "-q", &inside]).ok();
    vault.snap(&["take", "--stack", &inside]).exits(65).says("is in volume logs, which it saves");
    assert_eq!(vault.host("cd /big/wrong/logs; ls -A | grep repo || rm /root/way"), "");
    vault.snap(&["up", "-q", file]).ok();
    vault.take(file);
    vault.snap(&["check", file]).ok();
}
