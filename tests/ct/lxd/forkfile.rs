//! The server's file helper (`forkfile`) without its socket, as it is left when the helpers of two instances end and start at
//! the same moment: nothing that lsx reads of an instance may be taken for missing.

use crate::host::Host;
use lsx_tests::lab::until;
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] =
    &[("a_file_helper_that_lost_its_socket_is_waited_for", a_file_helper_that_lost_its_socket_is_waited_for)];

/// The folder of the helper's socket and of the file with its process, and that process.
fn helper(host: &Host, name: &str) -> (String, String) {
    host.script(&format!("$CLI file pull s-{name}/etc/passwd - >/dev/null"));
    let folder = host.script(&format!("ls -d /run/*/s-{name} /var/lib/*/logs/s-{name} 2>/dev/null || true"));
    let with = |folder: &&str| host.lab.script("h1", &format!("test -S {folder}/forkfile.sock")).code == 0;
    let folder = folder.lines().find(with).unwrap().to_owned();
    let pid = host.script(&format!("cat {folder}/forkfile.pid")).trim().to_owned();
    (folder, pid)
}

/// Asks while a request finds no socket. A helper that has been idle for a while ends by itself; then it is too late for that,
/// and it is asked again.
fn ask_without_socket(host: &Host, name: &str, order: &Value) -> Value {
    let mut answers = (0..10).filter_map(|_| ask_once(host, name, order));
    answers.next().unwrap_or_else(|| panic!("each helper of {name} ended before the request waited for it"))
}

/// None if the helper had ended.
fn ask_once(host: &Host, name: &str, order: &Value) -> Option<Value> {
    let (folder, pid) = helper(host, name);
    let socket = format!("{folder}/forkfile.sock");
    host.script(&format!("rm {socket}"));
    let is = |test: &str| host.lab.script("h1", test).code == 0;
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| host.ok(order));
        // The request has made its own socket and waits for the old helper, which takes that one along.
        assert!(until(60, || is(&format!("test -S {socket}"))), "no request makes a socket");
        let met = is(&format!("kill -INT {pid}"));
        let lost = format!("test ! -e {socket} && kill -0 $(cat {folder}/forkfile.pid)");
        assert!(!met || until(60, || is(&lost)), "no helper runs without its socket");
        let answer = asked.join().unwrap();
        met.then_some(answer)
    })
}

/// One that ended with 0 is finished also when the first answers about its files are errors, and the users of a running one
/// are found.
fn a_file_helper_that_lost_its_socket_is_waited_for(host: &Host) {
    let mut job = host.instance("job");
    (job["restart"], job["command"]) = (json!("no"), json!(["/bin/true"]));
    host.run(&job);
    host.run(&host.instance("runs"));
    let list = json!({"verb": "list"});
    let exec = json!({"verb": "exec", "name": "runs", "argv": ["id", "-u"], "user": "app"});
    let (all, ran) = std::thread::scope(|scope| {
        let all = scope.spawn(|| ask_without_socket(host, "job", &list));
        let ran = ask_without_socket(host, "runs", &exec);
        (all.join().unwrap(), ran)
    });
    let condition = &all.as_array().unwrap().iter().find(|i| i["name"] == "job").unwrap()["condition"];
    assert_eq!((&condition["state"], &condition["exit"]["code"]), (&json!("exited"), &json!(0)));
    assert_eq!((&ran["code"], &ran["stdout"]), (&json!(0), &json!("1000\n")));
    ["job", "runs"].iter().for_each(|name| _ = host.ok(&json!({"verb": "remove", "name": name})));
    host.empty();
}
