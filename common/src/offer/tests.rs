//! Command lines and their completions.
#![expect(clippy::disallowed_methods, reason = "a test creates its files directly")]

use super::*;
use clap::ArgAction;

fn command() -> Command {
    let flag = |long: &'static str, name: &'static str| Arg::new(long).long(long).value_name(name);
    let many =
        |name: &'static str| Arg::new("names").value_name(name).num_args(1..).action(ArgAction::Append);
    let on = || [flag("stack", "FILE"), flag("only", "PARTS"), flag("offline", "HOST")];
    Command::new("lsx-ct")
        .subcommand(Command::new("up").args(on()).arg(Arg::new("input").value_name("STACK")))
        .subcommand(Command::new("stop").args(on()).arg(many("NAME")))
        .subcommand(
            Command::new("move").arg(Arg::new("n").value_name("NAME")).arg(Arg::new("h").value_name("HOST")),
        )
        .subcommand(
            Command::new("exec").args(on()).arg(flag("on", "PATTERN")).arg(many("COMMAND").last(false)),
        )
        .subcommand(Command::new("cp").arg(Arg::new("f").value_name("FROM")))
}

#[test]
fn names_of_what_comes_next() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("office.yaml");
    let text = "stack: office\nhosts:\n  h1: {address: 192.0.2.1}\n  h2: {address: 192.0.2.2}\nnetworks:\n  lan: {cidr: 10.1.0.0/24}\nimages: {x: {oci: \"tar:x\"}}\ninstances:\n  web: {image: x, count: 2, hosts: [h1], networks: [lan]}\n  db: {image: x, host: h2, networks: [lan]}\n";
    std::fs::write(&file, text).unwrap();
    let path = file.display().to_string();
    let offered = |line: &str, usual: Option<&Path>| {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("FILE", &path)).collect();
        let usual = Usual { stack: usual.map(Path::to_owned), kept: temp.path().join("none") };
        names(&command(), "ct", &words, &usual).join(" ")
    };
    for (line, wanted) in [
        ("stop ", "db web web-1 web-2"),
        ("stop db w", "web web-1 web-2"),
        ("ct stop d", "db"),
        ("exec d", "db"),
        ("exec db d", ""),
        ("exec --on w", "web web-1 web-2"),
        ("exec --on db d", ""),
        ("move web h", "h1 h2"),
        ("move d", "db"),
        ("cp d", "db:"),
        ("up --offline ", "h1 h2"),
        ("up --only n", "networks.lan"),
        ("up --only networks.lan,hosts.", "networks.lan,hosts.h1 networks.lan,hosts.h2"),
        ("up ", ""),
        ("stop -- d", ""),
        ("nonsense d", ""),
        ("net stop d", ""),
        ("stop --nonsense d", ""),
        ("", ""),
    ] {
        assert_eq!(offered(line, Some(&file)), wanted, "{line}");
    }
    assert_eq!(offered("stop --stack FILE d", None), "db");
    assert_eq!(offered("-f FILE stop d", None), "db");
    assert_eq!(offered("up FILE --offline ", None), "h1 h2");
    assert_eq!(offered("stop d", None), "");
    std::fs::write(&file, "stack: [").unwrap();
    assert_eq!(offered("stop d", Some(&file)), "");
}

#[test]
fn on_a_host_without_a_stack_they_are_those_of_the_host() {
    let temp = tempfile::tempdir().unwrap();
    let put = |stack: &str, file: &str, text: &str| {
        std::fs::create_dir_all(temp.path().join(stack)).unwrap();
        std::fs::write(temp.path().join(stack).join(file), text).unwrap();
    };
    put("office", "ct.json", r#"{"instances": [{"name": "web"}, {"name": "db"}, {"name": "x\u001b y"}, 7]}"#);
    put("test", "ct.json", r#"{"instances": [{"name": "db"}]}"#);
    put("broken", "ct.json", "[");
    put("boot.d", "10-office-net", "");
    put("nets", "net.json", "{}");
    std::fs::create_dir_all(temp.path().join("odd/ct.json")).unwrap();
    let command =
        command().subcommand(Command::new("down").arg(Arg::new("n").long("stack").value_name("NAME")));
    let offered = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        names(&command, "ct", &words, &Usual { stack: None, kept: temp.path().to_owned() }).join(" ")
    };
    for (line, wanted) in [
        ("stop ", "office/db test/db web"),
        ("stop w", "web"),
        ("exec ", "office/db test/db web"),
        ("down --stack ", "broken nets odd office test"),
        ("down --stack of", "office"),
        // These verbs need a stack.
        ("move w", ""),
        ("stop --offline ", ""),
        ("stop --only ", ""),
        ("stop --stack gone.yaml w", ""),
    ] {
        assert_eq!(offered(line), wanted, "{line}");
    }
}
