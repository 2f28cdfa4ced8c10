//! Programs that end, that continue, that write too much, and the process file for a runtime.

use super::*;
use crate::driver::KEPT;
use std::sync::Mutex;

fn ran(script: &str, limit: Option<u64>) -> (Ran, Duration) {
    let begin = Instant::now();
    let program = Program::new("/bin/sh").args(["-c", script]);
    let inside = ExecSession {
        program,
        input: b"in",
        deadline: limit.map(Duration::from_millis),
        pid_file: None,
        process: None,
        hears: None,
        owner: None,
    };
    (inside.run(&mut patient).unwrap(), begin.elapsed())
}

/// A program without input, deadline or listener.
fn plain(program: Program) -> ExecSession<'static> {
    ExecSession {
        program,
        input: b"",
        deadline: None,
        pid_file: None,
        process: None,
        hears: None,
        owner: None,
    }
}

#[test]
fn a_program_ends_with_what_it_said() {
    let (ran, _) = ran("cat; echo out; echo err >&2; exit 7", None);
    assert_eq!((ran.code, ran.stdout, ran.stderr), (7, b"inout\n".to_vec(), b"err\n".to_vec()));
}

#[test]
fn what_is_run_is_a_process_of_the_instance_with_what_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let place = InstanceFolders { disk: folder.path().to_owned(), run: folder.path().to_owned() };
    let config = json!({"process": {"user": {"uid": 7, "gid": 7}, "cwd": "/srv", "env": ["A=1", "AB=2"], "args": ["x"],
        "capabilities": {"bounding": []}}});
    file::write(&place.run.join("config.json"), config.to_string().as_bytes(), file::Mode::Private).unwrap();
    let lent = |exec: &Exec, user: Option<&Account>| -> Value {
        serde_json::from_str(&std::fs::read_to_string(process(&place, exec, user, false).unwrap().0).unwrap())
            .unwrap()
    };
    let plain = lent(&Exec { argv: vec!["id".to_owned()], ..Exec::default() }, None);
    let mut wanted = config["process"].clone();
    (wanted["args"], wanted["terminal"]) = (json!(["id"]), json!(false));
    assert_eq!(plain, wanted);
    let user = Account { user: 5, group: 6, further: vec![8], ..Account::default() };
    let env = vec![("A".to_owned(), "3".to_owned())];
    let own = lent(&Exec { env, workdir: Some("/".to_owned()), ..Exec::default() }, Some(&user));
    assert_eq!((&own["env"], &own["cwd"]), (&json!(["AB=2", "A=3"]), &json!("/")));
    assert_eq!(own["user"], json!({"uid": 5, "gid": 6, "additionalGids": [8]}));
}

#[test]
fn what_it_leaves_behind_keeps_nobody_waiting() {
    let (ran, took) = ran("echo out; sleep 60 &", None);
    assert_eq!((ran.code, ran.stdout), (0, b"out\n".to_vec()));
    assert!(took < Duration::from_secs(50), "{took:?}");
}

#[test]
fn of_what_it_writes_only_so_much_is_kept() {
    let (ran, _) = ran("head -c 5000000 /dev/zero; echo end >&2", None);
    assert_eq!((ran.code, ran.stdout.len(), ran.cut), (0, KEPT, 5_000_000 - KEPT as u64));
    assert_eq!(ran.stderr, b"end\n");
}

#[test]
fn who_hears_it_hears_all_and_nothing_is_kept() {
    let heard = Mutex::new(0);
    let hears = |stream: &'static str, piece: &[u8]| {
        assert!(stream == "stdout" && piece.len() <= KEPT + 16 * 1024);
        *heard.lock().unwrap() += piece.len();
    };
    let cancel = std::sync::atomic::AtomicBool::new(false);
    let program = Program::new("/bin/sh").args(["-c", "head -c 5000000 /dev/zero"]);
    let inside = plain(program);
    let ran = inside.run_for(Caller { cancel: &cancel, hears: Some(&hears) }).unwrap();
    assert_eq!((ran.code, ran.stdout.len(), ran.cut, *heard.lock().unwrap()), (0, 0, 0, 5_000_000));
}

#[test]
fn it_ends_with_its_caller() {
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let program = Program::new("/bin/sleep").args(["30"]);
    let inside = plain(program);
    assert_eq!(inside.run_for(Caller { cancel: &cancel, hears: None }).unwrap().code, LATE);
}

#[test]
fn past_the_deadline_it_is_killed() {
    let (ran, took) = ran("echo out; exec sleep 60", Some(2000));
    assert_eq!((ran.code, ran.stdout), (124, b"out\n".to_vec()));
    assert!(took < Duration::from_secs(50), "{took:?}");
}
