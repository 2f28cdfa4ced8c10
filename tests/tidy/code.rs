//! Rules about which module may use what.

use crate::{File, none, rust, tools};

/// Names that a pure module must not use.
const WORLD: [&str; 22] = [
    "std::fs",
    "std::process",
    "std::env",
    "std::time",
    "std::io",
    "std::thread",
    "std::os",
    "TcpStream",
    "UdpSocket",
    "SystemTime",
    "Instant",
    "rand::",
    "common::host",
    "common::fleet",
    "common::log",
    "common::stdio",
    "common::verb",
    "netlink",
    "nix::",
    "socket2",
    "ureq",
    "Program::",
];

/// Modules of a tool that a pure module may use.
const PURE: [&str; 3] = ["model", "plan", "render"];

/// Where standard output is written, and why.
const STDOUT: [&str; 2] = [
    "common/src/stdio.rs",     // the value
    "common/src/verb/host.rs", // `agent`: the wire to the controller, which is its standard output
];

/// Modules that start programs or write files. Others use them.
const DOERS: [&str; 3] = ["common/src/host/", "common/src/fleet/", "common/src/stdio.rs"];

/// Modules of a tool with side effects: their names below `src/`, as a file or a folder.
const TOOL_DOERS: [&str; 15] = [
    "act",
    "apply",
    "archive",
    "point",
    "attach",
    "guard",
    "init",
    "net",
    "observe",
    "netlink",
    "image",
    "lxd",
    "oci",
    "parcel",
    "supervise",
];

/// The module of a file of a tool: `plan` for `tools/lsx-net/src/plan/cut.rs`.
fn room(file: &File) -> Option<&str> {
    let (_, rest) = file.path.strip_prefix("tools/")?.split_once("/src/")?;
    Some(rest.split(['/', '.']).next().unwrap_or(rest))
}

/// The first names behind every `crate::`, those in braces included.
fn neighbours(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            Some(group) => {
                let group = group.split(';').next().unwrap_or(group);
                names.extend(group.split(',').map(|item| item.trim_matches(['{', '}', ' ', '\n'])));
            }
            None => names.push(part),
        }
    }
    let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    names
        .into_iter()
        .map(|name| name.split(end).next().unwrap_or(name))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn model_plan_and_render_are_pure() {
    let mut found = Vec::new();
    let engine = ["common/src/plan/diff.rs", "common/src/plan/mod.rs", "common/src/document.rs"];
    for file in rust() {
        let pure = room(&file).is_some_and(|room| PURE.contains(&room))
            || file.within("common/stack/src")
            || engine.contains(&file.path.as_str());
        if !pure || file.tests() {
            continue;
        }
        for (line, code) in file.code() {
            let named = WORLD.iter().filter(|word| code.contains(**word));
            found.extend(named.map(|word| format!("{}:{line}: {word}", file.path)));
        }
        if room(&file).is_some() {
            let code: String = file.code().map(|(_, code)| format!("{code}\n")).collect();
            let rooms = neighbours(&code)
                .into_iter()
                .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
            found.extend(
                rooms.filter(|name| !PURE.contains(name)).map(|name| format!("{}: crate::{name}", file.path)),
            );
        }
    }
    none("a pure room touches nothing", &found);
}

/// What the stack document may be built on: parsers, writers and derives, none of which opens anything by itself.
const STACK: [&str; 7] = ["ipnet", "schemars", "serde", "serde_json", "serde_yaml", "sha2", "shlex"];

#[test]
fn the_stack_document_is_pure_by_its_dependencies() {
    let files = crate::files();
    let manifest = files.iter().find(|f| f.path == "common/stack/Cargo.toml").unwrap();
    let list = manifest.text.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let named = list.lines().filter_map(|line| line.split(['.', ' ']).next()).filter(|name| !name.is_empty());
    let strange: Vec<String> = named.filter(|name| !STACK.contains(name)).map(str::to_owned).collect();
    none("lsx-stack depends on nothing that reaches the world", &strange);
}

#[test]
fn no_tool_knows_a_tool() {
    let tools = tools();
    let mut found = Vec::new();
    for file in crate::files().iter().filter(|f| f.within("tools") || f.within("common")) {
        let others = tools.iter().filter(|tool| !file.within(&format!("tools/{tool}")));
        if file.name() == "Cargo.toml" {
            let named = others.clone().filter(|tool| file.text.contains(&format!("{tool}.")));
            found.extend(named.map(|tool| format!("{} depends on {tool}", file.path)));
        } else if file.path.ends_with(".rs") {
            let name = |tool: &&String| format!("{}::", tool.replace('-', "_"));
            let used = others.filter(|tool| file.code().any(|(_, code)| code.contains(&name(tool))));
            found.extend(used.map(|tool| format!("{} uses {tool}", file.path)));
        }
    }
    none("tools meet in pipes alone", &found);
}

#[test]
fn one_room_writes_to_standard_output() {
    let words = ["println!(", "print!(", "stdout()"];
    let mut found = Vec::new();
    for file in rust().iter().filter(|f| f.path.contains("/src/") && !f.tests()) {
        for (line, code) in file.code().filter(|_| !STDOUT.contains(&file.path.as_str())) {
            let code = code.replace("eprintln!(", "").replace("child.stdout()", "");
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{line}: {}", file.path, code.trim()));
            }
        }
    }
    none("only common::stdio writes to standard output", &found);
}

#[test]
fn few_rooms_start_programs_or_write_files() {
    let words = [
        "Command::new(\"",
        "Command::new(name",
        "Program::new(",
        "fs::write(",
        "File::create(",
        "OpenOptions::new(",
        "fs::rename(",
        "fs::remove_",
        "fs::create_dir",
        "DirBuilder::new(",
        "fs::set_permissions(",
        "symlink(",
    ];
    let mut found = Vec::new();
    for file in rust().iter().filter(|f| f.path.contains("/src/") && !f.tests()) {
        let doer = DOERS.iter().any(|room| file.path.starts_with(room))
            || room(file).is_some_and(|room| TOOL_DOERS.contains(&room));
        for (line, code) in file.code().filter(|_| !doer) {
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{line}: {}", file.path, code.trim()));
            }
        }
    }
    none("only common::host, the fleet, and a tool's apply, attach, observe and drivers act", &found);
}

/// Files that may contain `unsafe`, and why.
const UNSAFE: [&str; 2] = [
    "tools/lsx-ct/src/oci/idmap.rs", // open_tree, mount_setattr, move_mount: no crate wraps all three
    "tools/lsx-ct/src/signals.rs",   // kill with a real-time signal: no crate has a safe type for them
];

#[test]
fn unsafe_is_listed_and_explained() {
    let mut found = Vec::new();
    for file in rust().iter().filter(|f| !f.within("tests/tidy")) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (line, code) in file
            .code()
            .filter(|(_, code)| code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe"))
        {
            let explained = lines[line.saturating_sub(4)..line].iter().any(|l| l.contains("SAFETY"));
            if !explained || !UNSAFE.contains(&file.path.as_str()) {
                found.push(format!("{}:{line}: {}", file.path, code.trim()));
            }
        }
    }
    none("unsafe only in listed files, with a SAFETY comment", &found);
}

#[test]
fn exceptions_from_lints_say_why() {
    let mut found = Vec::new();
    for file in rust() {
        for attribute in ["[allow(", "[expect("] {
            let starts = file.text.match_indices(attribute).map(|(at, _)| at);
            let bare = starts.filter(|at| {
                let rest = &file.text[*at..];
                let end = rest.find(")]").unwrap_or(rest.len());
                !rest[..end].contains("reason = ") && !file.within("tests/tidy")
            });
            found.extend(bare.map(|at| format!("{}:{}", file.path, file.text[..at].lines().count())));
        }
    }
    none("an exception from a lint has a reason", &found);
}
