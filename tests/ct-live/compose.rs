//! Ten kinds of Compose files, converted and started: every service runs, and published ports answer.

use crate::Case;
use crate::cloud::Cloud;
use lsx_tests::lab::{finish, until};
use serde_json::Value;
use std::path::Path;

pub(crate) const CASES: &[Case] = &[("ten_compose_files_come_up", ten_compose_files_come_up)];

fn ten_compose_files_come_up(cloud: &Cloud) {
    let folders: Vec<_> = lsx_tests::entries("tests/fixtures/compose")
        .into_iter()
        .filter(|path| path.is_dir() && !path.file_name().unwrap().to_str().unwrap().starts_with("no-"))
        .collect();
    assert!(folders.len() >= 10);
    let all: Vec<String> = folders.iter().map(|folder| imported(cloud, folder)).collect();
    for file in &all {
        cloud.start(file);
    }
    for file in &all {
        runs(cloud, file);
    }
    for file in &all {
        let document = resolved(cloud, file);
        cloud.ct(&["down", file, "--destroy-data", document["stack"].as_str().unwrap()]).ok();
        cloud.lab.net(&["down", "--quiet", file]).ok();
    }
    cloud.lab.script("h1", "! ls -d /sys/fs/cgroup/lsx*/*/ /etc/lsx/*/ 2>/dev/null | grep .").ok();
}

/// The stack of a Compose file, in its own folder with the files beside it, and with an image of the tests.
fn imported(cloud: &Cloud, from: &Path) -> String {
    let folder = cloud.lab.folder.path().join(from.file_name().unwrap());
    assert!(std::process::Command::new("cp").arg("-a").arg(from).arg(&folder).status().unwrap().success());
    let mut import = cloud.command(&["import", "--host", "h1=root@198.18.0.11"]);
    let text = finish(import.current_dir(&folder), b"").ok().stdout;
    let text = text.replace("docker://docker.io/library/busybox:1.36", "tar:../bb.tar");
    let path = folder.join("stack.yaml");
    std::fs::write(&path, text.replace("tar:images/backend.tar", "tar:../bb.tar")).unwrap();
    path.display().to_string()
}

fn resolved(cloud: &Cloud, file: &str) -> Value {
    cloud.ct(&["resolve", file]).ok().json()
}

/// Every instance has a process or has ended successfully; every TCP port of the host is served.
#[track_caller]
fn runs(cloud: &Cloud, file: &str) {
    let document = resolved(cloud, file);
    let stack = document["stack"].as_str().unwrap();
    for instance in document["resolved"]["instances"].as_array().unwrap() {
        let name = instance["name"].as_str().unwrap();
        let said = cloud.said("h1", &format!("{stack}/{name}"));
        if said["state"] == "running" {
            cloud.lab.exec("h1", &["test", "-d", &format!("/proc/{}", said["pid"])]).ok();
        } else {
            assert_eq!((name, &said["exit"]["code"]), ("migrate", &Value::from(0)), "{stack}: {said}");
        }
    }
    let ports =
        document["instances"].as_object().unwrap().values().flat_map(|i| i["ports"].as_array().cloned());
    // Of the range 3000-3002 one port is served.
    let served = |port: &Value| port["protocol"] == "tcp" && port["to"] != 3001 && port["to"] != 3002;
    for port in ports.flatten().filter(served) {
        // Not every service says when it is ready.
        let ask = format!("nc -z -w 5 198.18.0.11 {}", port["listen"]);
        assert!(until(60, || cloud.lab.script("h1", &ask).code == 0), "{stack}: {port}");
    }
    let plan = cloud.ct(&["plan", file]).ok().json();
    assert_eq!(plan["steps"], serde_json::json!([]), "{stack}");
}
