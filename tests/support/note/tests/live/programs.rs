//! A program that is not lsx's, with files: checked before they are used, read again without a new process, waited for.

use crate::{nothing_left, stack};
use lsx_tests::groups::Case;
use lsx_tests::lab::{Lab, until};
use serde_json::{Value, json};

pub(crate) const CASES: &[Case<Lab>] = &[
    ("a_program_reads_its_files_again", a_program_reads_its_files_again),
    ("a_program_waits_for_a_file", a_program_waits_for_a_file),
];

const FOLDER: &str = "/run/lsx/notes/note.list";
/// Says to whoever connects what its file has, how often it was told to read it again, and its process.
const SERVER: &str = "import os, signal, socket\nread = []\n\
    def load(*_):\n    read.append(open('%FOLDER%/text').read())\n\
    signal.signal(signal.SIGHUP, load)\nload()\ns = socket.create_server(('127.0.0.1', 4714))\n\
    while True:\n    c = s.accept()[0]\n    c.sendall(f'{read[-1]} {len(read)} {os.getpid()}'.encode())\n    c.close()\n";

/// The stack in one wave; h1 runs the program.
fn serving(lab: &Lab, text: &str, more: &Value) -> String {
    let mut program = json!({
        "argv": ["python3", "%FOLDER%/serve.py"],
        "fixed": {"serve.py": SERVER}, "files": {"text": text, "empty/": ""},
        "check": ["sh", "-c", "! grep wrong %FOLDER%/text >&2"],
        "ready": ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/4714"],
        "reload": "hup", "watch": ["/etc/notes-watched"], "group": "daemon",
    });
    for (key, value) in more.as_object().unwrap() {
        program[key] = value.clone();
    }
    let text = std::fs::read_to_string(stack(lab, "a text")).unwrap();
    let text: String =
        ["1", "2", "3"].iter().fold(text, |text, n| text.replace(&format!("WAVE: \"{n}\""), "WAVE: \"0\""));
    let value = program.to_string().replace('\'', "''");
    lab.file("notes.yaml", &text.replacen("env: {", &format!("env: {{ PROGRAM: '{value}',"), 1))
}

/// What it says: the text, how often it has read it, and its process.
fn said(lab: &Lab) -> Option<(String, u32, String)> {
    let out = lab.exec("h1", &["bash", "-c", "cat </dev/tcp/127.0.0.1/4714"]);
    let (rest, process) = out.stdout.trim().rsplit_once(' ')?;
    let (text, read) = rest.rsplit_once(' ')?;
    Some((text.to_owned(), read.parse().ok()?, process.to_owned()))
}

fn a_program_reads_its_files_again(lab: &Lab) {
    let file = serving(lab, "one", &json!({}));
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    let (_, _, process) = said(lab).unwrap();
    assert_eq!(said(lab), Some(("one".to_owned(), 1, process.clone())));
    let stat = lab.script("h1", &format!("cd {FOLDER} && stat -c '%n %a %U %G' . empty text")).ok().stdout;
    assert_eq!(stat, ". 750 root daemon\nempty 755 root root\ntext 644 root root\n");
    lab.script("h1", &format!("setpriv --reuid 65534 --regid 1 --clear-groups cat {FOLDER}/text")).ok();
    let other = format!("setpriv --reuid 65534 --regid 65534 --clear-groups cat {FOLDER}/text");
    assert_ne!(lab.script("h1", &other).code, 0, "only its group can read the files");
    // Another text: the same process reads it.
    let file = serving(lab, "two", &json!({}));
    assert!(lab.net(&["plan", "--table", &file]).ok().stdout.contains("reloaded"));
    lab.net(&["up", &file]).ok();
    assert!(until(60, || said(lab) == Some(("two".to_owned(), 2, process.clone()))), "{:?}", said(lab));
    // A watched file appears, and changes.
    for (n, text) in [(3, "a"), (4, "b")] {
        lab.script("h1", &format!("echo {text} >/etc/notes-watched")).ok();
        assert!(until(60, || said(lab) == Some(("two".to_owned(), n, process.clone()))), "{:?}", said(lab));
    }
    // What is wrong is found before it is used.
    for _ in 0..2 {
        let refused = lab.net(&["up", &serving(lab, "all wrong", &json!({}))]).exits(1);
        assert!(refused.stderr.contains("the configuration was refused: all wrong"), "{}", refused.stderr);
    }
    assert_eq!(said(lab), Some(("two".to_owned(), 4, process.clone())));
    let file = serving(lab, "two", &json!({}));
    assert!(until(60, || lab.net(&["plan", "--exit-code", &file]).code == 0));
    // What it reads only at its start starts it again; so does the loss of its process.
    let other = json!({"fixed": {"serve.py": SERVER, "more": "more"}});
    let file = serving(lab, "two", &other);
    assert!(lab.net(&["plan", "--table", &file]).ok().stdout.contains("restarted"));
    lab.net(&["up", &file]).ok();
    let (text, read, next) = said(lab).unwrap();
    assert_eq!((text.as_str(), read), ("two", 1));
    assert_ne!(next, process);
    lab.script("h1", &format!("kill -9 {next}")).ok();
    assert!(until(60, || said(lab).is_some_and(|(_, _, now)| now != next)));
    // One that does not survive its new files is started with the former ones.
    let dies = "raise SystemExit('it is over')";
    lab.net(&["up", &serving(lab, "two", &json!({"fixed": {"serve.py": dies}}))]).exits(1).says("it is over");
    assert!(until(60, || said(lab).is_some_and(|(text, ..)| text == "two")));
    lab.net(&["down", &file]).ok();
    assert_eq!(said(lab), None);
    lab.script("h1", "rm /etc/notes-watched").ok();
    nothing_left(lab, "after down");
}

fn a_program_waits_for_a_file(lab: &Lab) {
    let file = serving(lab, "one", &json!({"waits": ["/etc/notes-key"]}));
    lab.net(&["up", &file]).ok();
    lab.net(&["plan", "--exit-code", &file]).ok();
    assert_eq!(said(lab), None);
    let why = "service list of stack notes: waits for /etc/notes-key";
    let checked = lab.net(&["check", &file]).exits(2);
    assert!(checked.stdout.contains(why), "{}", checked.stdout);
    lab.script("h1", "touch /etc/notes-key").ok();
    assert!(until(60, || said(lab).is_some_and(|(text, ..)| text == "one")), "it is there");
    assert!(until(60, || lab.net(&["check", &file]).code == 0));
    lab.script("h1", "rm /etc/notes-key").ok();
    lab.net(&["down", &file]).ok();
    nothing_left(lab, "after down");
}
