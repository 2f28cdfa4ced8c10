//! `check` asks the S3 server as clients do: what breaks for them is a finding that names the bucket.

use crate::depot::Depot;
use crate::shelf::{STACK, Shelf};
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] = &[
    ("check_asks_the_server_as_clients_do", check_asks_the_server_as_clients_do),
    ("check_names_what_clients_do_not_get", check_names_what_clients_do_not_get),
];

/// The findings of `check`, as `CODE MESSAGE`.
#[track_caller]
fn found(depot: &Depot, shelf: &Shelf<'_>) -> Vec<String> {
    let told = depot.store(&["check", &shelf.file]).exits(2).json();
    let all = told["findings"].as_array().cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    all.iter().map(|one| format!("{} {}", text(one, "code"), text(one, "message"))).collect()
}

#[track_caller]
fn finds(depot: &Depot, shelf: &Shelf<'_>, wanted: &[&str]) {
    let all = found(depot, shelf);
    for words in wanted {
        let (code, words) = words.split_once(' ').unwrap();
        let seen = all.iter().any(|one| one.starts_with(code) && one.contains(words));
        assert!(seen, "{code} {words}: {all:#?}");
    }
}

fn check_asks_the_server_as_clients_do(depot: &Depot) {
    let shelf = Shelf::up(depot);
    shelf.python("ann", "s3.put_object(Bucket='web', Key='a/b', Body=b'x')").ok();
    let before = shelf.host("find /data -path '*lsx-s3*' -prune -o -type f -print | sort; cat /var/lib/lsx/store/shelf/log/*/* | wc -l");
    let told = depot.store(&["check", &shelf.file]).ok().json();
    let rows: Vec<&Value> =
        told["rows"].as_array().unwrap().iter().filter(|row| row["server"] == "10.162.0.1:9000").collect();
    // Two requests that must be refused; what users of each bucket may do, and nothing of the bucket that nobody may use.
    let row = |bucket: &Value| {
        rows.iter()
            .find(|row| row["bucket"] == *bucket)
            .map(|row| (row["asked"].clone(), row["answered"].clone()))
    };
    assert_eq!(row(&Value::Null), Some((2.into(), 2.into())), "{rows:?}");
    assert_eq!(row(&"web".into()), Some((9.into(), 9.into())), "{rows:?}");
    assert_eq!(row(&"notes".into()), Some((8.into(), 8.into())), "{rows:?}");
    assert_eq!((row(&"alone".into()), rows.len()), (None, 3), "{rows:?}");
    let tried = told["tried"].as_u64().unwrap();
    // Nothing is left, and nothing that clients list was there.
    let after = shelf.host("find /data -path '*lsx-s3*' -prune -o -type f -print | sort; cat /var/lib/lsx/store/shelf/log/*/* | wc -l");
    assert_eq!(before, after);
    assert_eq!(shelf.host("ls -A /data/web/web/.lsx-s3/uploads /data/web/web/.lsx-s3/new /data/shared/notes/.lsx-s3/uploads | grep -v : | tr -d '\\n'"), "");
    // Uploads that were given up are seen. None ends because its time is old when a server begins: the clock may have been set.
    shelf.python("ann", "[s3.create_multipart_upload(Bucket='web', Key='given/up') for _ in range(2)]").ok();
    shelf.host("cd /data/web/web/.lsx-s3/uploads; touch -d '8 days ago' $(ls | head -1)");
    let seen = |key: &str| {
        let all = depot.store(&["observe", &shelf.file]).ok().lines();
        let all: Vec<Value> =
            all.iter().flat_map(|one| one["buckets"].as_array().cloned().unwrap_or_default()).collect();
        all.iter().find(|one| one["bucket"] == "web").unwrap()[key].clone()
    };
    assert_eq!(seen("uploads"), 2);
    assert!(seen("oldest_at").as_str().is_some_and(|at| at.ends_with('Z')));
    shelf.host("f=/run/lsx/shelf/store/s3.state.json; was=$(jq .pid $f); kill -9 $was; for t in $(seq 3000); do now=$(jq .pid $f 2>/dev/null || true); test -n \"$now\" -a \"$now\" != $was && break; sleep 0.01; done; sleep 0.5");
    assert_eq!(seen("uploads"), 2);
    shelf.python("ann", "[s3.abort_multipart_upload(Bucket='web', Key=u['Key'], UploadId=u['UploadId']) for u in s3.list_multipart_uploads(Bucket='web')['Uploads']]").ok();
    // A part of the stack is asked for alone.
    let part = depot.store(&["check", &shelf.file, "--only", "store.notes"]).ok().json();
    assert!(part["tried"].as_u64().unwrap() < tried, "{part}");
    // What observe says of buckets.
    let seen = depot.store(&["observe", &shelf.file]).ok().lines();
    let here = seen.iter().find(|one| one["host"] == "h1").unwrap();
    let notes = here["buckets"].as_array().unwrap().iter().find(|one| one["bucket"] == "notes").unwrap();
    assert_eq!((&notes["path"], &notes["state"]), (&"/data/shared/notes".into(), &"ready".into()), "{notes}");
    shelf.down();
}

fn check_names_what_clients_do_not_get(depot: &Depot) {
    let shelf = Shelf::up(depot);
    // Its folder was moved away, and a new one is in its place: clients write where nobody looks.
    shelf.host("mv /data/web/web /data/web/old; mkdir /data/web/web");
    finds(
        depot,
        &shelf,
        &[
            "store.bucket bucket web at 10.162.0.1:9000, asked from client, is not in its volume: the server does not write to",
        ],
    );
    shelf.host("rmdir /data/web/web");
    let seen = depot.store(&["observe", &shelf.file]).ok().lines();
    let lost = seen
        .iter()
        .flat_map(|one| one["buckets"].as_array().cloned().unwrap_or_default())
        .find(|one| one["bucket"] == "web");
    assert_eq!(lost.unwrap()["state"], "missing");
    shelf.host("mv /data/web/old /data/web/web");
    depot.store(&["check", &shelf.file]).ok();
    // Somebody else has the folder for writing.
    shelf.host("chown root /data/web/web/.lsx-s3/uploads");
    finds(
        depot,
        &shelf,
        &[
            "store.bucket bucket web at 10.162.0.1:9000, asked from client, cannot be written: user ann gets AccessDenied",
        ],
    );
    shelf.host("chown --reference=/data/web/web /data/web/web/.lsx-s3/uploads");
    // Another key than the server has.
    let key = "/var/lib/lsx/secrets/shelf/store/s3_ann";
    shelf.host(&format!("cp -p {key} /root/kept; echo 0123456789abcdef >{key}"));
    finds(
        depot,
        &shelf,
        &[
            "store.bucket bucket web at 10.162.0.1:9000, asked from client, cannot be found: user ann gets HTTP 403",
            "store.bucket cannot be listed: user ann gets SignatureDoesNotMatch",
        ],
    );
    shelf.host(&format!("cp -p /root/kept {key}; rm /root/kept"));
    depot.store(&["check", &shelf.file]).ok();
    hangs_or_is_another(depot, &shelf);
    // A part of a stack whose volume is not there does not end as if buckets were served.
    depot.store(&["down", &shelf.file]).ok();
    let text = STACK
        .replace("shared: { host: h1 }", "shared: { host: h1 }, later: { host: h1 }")
        .replace("alone: { volume: shared }", "alone: { volume: later }");
    let file = depot.lab.file("shelf.yaml", &text);
    let up = depot.store(&["up", &file, "--only", "store.web"]).exits(65);
    assert!(up.stderr.contains("no bucket is served: volume later of alone is not there"), "{}", up.stderr);
    depot.store(&["up", &file]).ok();
    shelf.down();
}

/// What is on the port of the server does not answer, or answers everybody.
fn hangs_or_is_another(depot: &Depot, shelf: &Shelf<'_>) {
    // It hangs, and its supervisor does, too.
    let pid = "$(jq .pid /run/lsx/shelf/store/s3.state.json)";
    let parent = format!("$(ps -o ppid= -p {pid})");
    shelf.host(&format!("echo {pid} {parent} >/root/pids; kill -STOP $(cat /root/pids)"));
    finds(
        depot,
        shelf,
        &[
            "store.server the S3 server at 10.162.0.1:9000, asked from client, does not answer: it is silent for 10 s",
        ],
    );
    shelf.host("kill -CONT $(cat /root/pids)");
    // It is dead, and another program is on its port, which answers everybody.
    shelf.host("set -- $(cat /root/pids); kill -9 $2 $1; rm /root/pids; while ip netns exec lsx-shelf ss -Hltn 'sport = 9000' | grep -q .; do sleep 0.1; done");
    finds(
        depot,
        shelf,
        &[
            "store.server the S3 server at 10.162.0.1:9000, asked from client, does not answer: nothing listens there",
        ],
    );
    shelf.host("cd /root; ip netns exec lsx-shelf /usr/bin/python3 -m http.server 9000 --bind 10.162.0.1 >/dev/null 2>&1 & echo $! >/root/other
        for t in $(seq 3000); do ip netns exec lsx-shelf ss -Hltn 'sport = 9000' | grep -q . && break; sleep 0.01; done");
    finds(
        depot,
        shelf,
        &[
            "store.server the S3 server at 10.162.0.1:9000, asked from client, does not refuse requests without a signature: it answers HTTP 200",
        ],
    );
    shelf.host("kill $(cat /root/other); rm /root/other; while ip netns exec lsx-shelf ss -Hltn 'sport = 9000' | grep -q .; do sleep 0.1; done");
    depot.store(&["up", &shelf.file]).ok();
    depot.store(&["check", &shelf.file]).ok();
}
