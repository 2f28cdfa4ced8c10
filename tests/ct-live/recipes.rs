//! Recipes: their values, secrets, and the verb `recipes`.

use crate::Case;
use crate::cloud::Cloud;
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    ("recipes_are_told_values_and_secrets", recipes_are_told_values_and_secrets),
    ("recipes_tells_what_ran_and_what_is_another_one", recipes_tells_what_ran_and_what_is_another_one),
];

const SECRET: &str = "geheim-4711 $(id) `id` 'quoted'";

const TEXT: &str = "
  it: { image: bb, host: h1, networks: [lan], recipes: [told, plain], command: [sleep, \"1000\"] }
  bare: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
defaults:
  values: { salt_master: \"salt.internal; rm -rf /srv\", ldap_password: { secret: ldap }, unnamed: nothing }
secrets: { ldap: \"yaml:original.yml#lstack.ldap.password\" }";

fn told(cloud: &Cloud) -> String {
    let lab = &cloud.lab;
    std::fs::create_dir_all(lab.folder.path().join("recipes")).unwrap();
    lab.file("original.yml", &format!("lstack:\n  ldap: {{ password: \"{SECRET}\" }}\n"));
    lab.file(
        "recipes/told",
        "mkdir -p /srv\ncat >/srv/told <<EOF\nmaster ${salt_master} \\${salt_master} $${salt_master:+x}\nEOF\n\
         printf %s \"$ldap_password\" >/srv/password\nenv | grep -c '^unna''med' >/srv/silent || true\n\
         echo \"it is ${ldap_password}\"\n",
    );
    lab.file("recipes/plain", "date >/srv/plain\n");
    let file = cloud.stack("told", TEXT);
    if cloud.said("h1", "told/it")["state"] != "running" {
        cloud.start(&file);
    }
    file
}

fn recipes_are_told_values_and_secrets(cloud: &Cloud) {
    let file = told(cloud);
    let read = |script: &str| cloud.inside("h1", "told/it", script).ok().stdout;
    let text = read("cat /srv/told");
    assert!(text.starts_with("master salt.internal; rm -rf /srv ${salt_master} "), "{text}");
    assert_eq!(read("cat /srv/password"), SECRET, "unchanged, and no part of it is executed");
    assert_eq!(read("cat /srv/silent"), "0\n", "values that the text does not name are not set");
    assert_eq!(read("ls /run/secrets 2>/dev/null | wc -l"), "0\n");
    // Only in the file, and with root on the host.
    let log = cloud.ct(&["logs", "it", "--plain", "--stack", &file]).ok().stdout;
    assert!(log.contains("recipe told: it is ***"), "{log}");
    let kept =
        cloud.lab.script("h1", "cat /etc/lsx/told/ct.json; cat /var/lib/lsx/ct/told/*/*.json").ok().stdout;
    let shown = [
        cloud.ct(&["resolve", &file]).ok().stdout,
        cloud.ct(&["plan", &file, "--down"]).ok().stdout,
        cloud.ct(&["observe", &file]).ok().stdout,
        cloud.ct(&["recipes", "--stack", &file]).ok().stdout,
        kept,
        log,
    ];
    for text in shown {
        assert!(!text.contains("geheim-4711"), "{text}");
    }
    let modes = cloud.lab.script("h1", "stat -c %a /var/lib/lsx/secrets/told/ct/ldap").ok().stdout;
    assert_eq!(modes, "600\n");
    assert_eq!(cloud.changed(&file), 0);
}

fn recipes_tells_what_ran_and_what_is_another_one(cloud: &Cloud) {
    let file = told(cloud);
    let rows = |args: &[&str], exit: i32| -> Vec<Value> {
        let said = cloud.ct(&[&["recipes", "--stack", &file], args].concat()).exits(exit);
        said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let states = |rows: &[Value]| -> Vec<Value> {
        rows.iter().map(|row| json!([row["instance"], row["recipe"], row["state"], row["changed"]])).collect()
    };
    let all = rows(&["--check"], 0);
    assert_eq!(states(&all), [json!(["it", "told", "ran", null]), json!(["it", "plain", "ran", null])]);
    let digest = cloud.lab.folder.path().join("recipes/plain");
    let digest = common::document::digest(&std::fs::read(digest).unwrap());
    assert!(all[1]["ran_digest"].as_str().unwrap().ends_with(&digest), "{}", all[1]);
    assert_eq!(all[1]["digest"], all[1]["ran_digest"]);
    assert!(all.iter().all(|row| common::log::time(row["ran_at"].as_str().unwrap()).is_some()));
    // Another password, another text, a new recipe, and one that was removed.
    cloud.lab.file("original.yml", "lstack: { ldap: { password: other-4711 } }\n");
    cloud.lab.file("recipes/third", "true\n");
    let text = TEXT.replace("recipes: [told, plain]", "recipes: [told, third]");
    let file = cloud.stack("told", &text);
    let wanted = [
        json!(["it", "told", "changed", ["ldap_password"]]),
        json!(["it", "third", "missing", null]),
        json!(["it", "plain", "unnamed", null]),
    ];
    assert_eq!(states(&rows(&["--check"], 2)), wanted);
    assert_eq!(states(&rows(&[], 0)), wanted);
    let plan = cloud.ct(&["plan", &file]).ok().json();
    let step =
        plan["steps"].as_array().unwrap().iter().find(|s| s["id"] == "instance.change:it").unwrap().clone();
    assert_eq!(step["runs"], json!(["recipe told", "recipe third"]), "{step}");
    assert!(step["why"].as_str().unwrap().ends_with("; runs recipe told, recipe third"), "{}", step["why"]);
    let table = cloud.ct(&["plan", &file, "--table"]).ok().stdout;
    let table = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(table.contains("runs recipe told, recipe third"), "{table}");
    cloud.ct(&["up", &file]).ok();
    assert_eq!(
        states(&rows(&["--check"], 0))[..2],
        [json!(["it", "told", "ran", null]), json!(["it", "third", "ran", null])]
    );
    assert_eq!(cloud.inside("h1", "told/it", "cat /srv/password").ok().stdout, "other-4711");
    // On the host itself, without the document.
    let here = cloud.lab.exec("h1", &[&cloud.tool_on("h1"), "recipes", "told/it", "--check"]).ok().stdout;
    assert_eq!(here.lines().count(), 3, "{here}");
    cloud.ct(&["recipes", "bare", "--check", "--stack", &file]).exits(1);
    cloud.end(&file);
}
