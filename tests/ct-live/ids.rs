//! Instances with more user and group ids than the default.

use crate::cloud::Cloud;
use lsx_tests::image;
use std::process::Command;

pub(crate) const CASES: &[crate::Case] =
    &[("an_instance_has_as_many_ids_as_its_image_needs", an_instance_has_as_many_ids_as_its_image_needs)];

/// An image with files of user 70000 and user 200000.
fn wide(cloud: &Cloud) -> String {
    let folder = cloud.lab.folder.path();
    image::busybox(folder, "wide", "wide");
    let script = "mkdir -p more/srv; echo a >more/srv/a; echo b >more/srv/b; chmod 600 more/srv/?
        tar -C more --owner=70000 --group=70000 -rf wide.tar ./srv/a; tar -C more --owner=200000 --group=200000 -rf wide.tar ./srv/b";
    assert!(Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap().success());
    folder.join("wide.tar").display().to_string()
}

/// The lines of uid_map and gid_map of an instance.
fn map(cloud: &Cloud, of: &str) -> Vec<u64> {
    let pid = cloud.pid("h1", of);
    let read = |kind| cloud.lab.script("h1", &format!("cat /proc/{pid}/{kind}_map")).ok().stdout;
    assert_eq!(read("uid"), read("gid"));
    read("uid").split_whitespace().map(|n| n.parse().unwrap()).collect()
}

#[track_caller]
fn told_at_import(cloud: &Cloud, tar: &str) {
    let told = cloud.ct(&["images", "import", &format!("tar:{tar}"), "--name", "wide"]).ok().stderr;
    assert!(told.contains("ids up to 200000") && told.contains("ids: 200001"), "{told}");
}

fn an_instance_has_as_many_ids_as_its_image_needs(cloud: &Cloud) {
    let tar = wide(cloud);
    let before = cloud.snapshot("h1");
    told_at_import(cloud, &tar);
    let with_two = |more: &str, second: &str| {
        let volume =
            "volumes: { data: { path: /data, owner: \"200000:70000\" } }, command: [sleep, \"1000\"]";
        let it = format!("it: {{ image: wide, host: h1, networks: [lan], {volume}{more} }}");
        cloud.stack("wide", &format!("\n  {it}\n  bb: {{ image: bb, host: h1, command: [sleep, \"1000\"]{second} }}\nstore: {{ volumes: {{ data: {{}} }} }}"))
    };
    let with = |more: &str| with_two(more, "");
    // Refused with the default, and its files would be nobody's.
    let refused = cloud.ct(&["plan", &with("")]);
    assert!(
        refused.code == 65 && refused.stderr.contains("200000 exceeds the 65536 ids"),
        "{}",
        refused.stderr
    );
    let plain = cloud.stack("wide", "\n  it: { image: wide, host: h1 }");
    let warnings = cloud.ct(&["plan", &plain]).ok().json()["warnings"].clone();
    assert_eq!(warnings[0]["code"], "ct.plan.ids", "{warnings}");
    assert!(warnings[0]["message"].as_str().unwrap().ends_with("instances.it.ids: 200001"), "{warnings}");

    let file = with(", ids: 200001, user: \"200000\"");
    cloud.start(&file);
    let whose = "stat -c '%u %g' /srv/a /srv/b /data";
    let ids = "70000 70000\n200000 200000\n200000 70000\n";
    assert_eq!(cloud.inside("h1", "wide/it", whose).ok().stdout, ids);
    let (own, other) = (map(cloud, "wide/it"), map(cloud, "wide/bb"));
    assert_eq!((own[0], own[2], other[2]), (0, 200_001, 65_536));
    assert!(own[1] + own[2] <= other[1] || other[1] + other[2] <= own[1], "{own:?} and {other:?} overlap");
    let status =
        cloud.lab.script("h1", &format!("cat /proc/{}/status", cloud.pid("h1", "wide/it"))).ok().stdout;
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")).unwrap().split_whitespace().next().unwrap();
    assert_eq!(uid.parse::<u64>().unwrap(), own[1] + 200_000);
    // Its own user reads its own file only, and what it writes is its own.
    let run = |script: &str| {
        cloud.ct(&["exec", "--stack", &file, "--on", "it", "--", "sh", "-c", script]).json()["stdout"].clone()
    };
    assert_eq!(
        run("id -u; cat /srv/b; cat /srv/a || echo no; echo mine >/data/mine; echo own >/tmp/own"),
        "200000\nb\nno\n"
    );
    let disk = || cloud.lab.script("h1", "stat -c %u /var/lib/lsx/volumes/wide/data/mine").ok().stdout;
    assert_eq!(disk(), "200000\n", "volumes have the numbers of the instance");
    assert_eq!(cloud.changed(&file), 0);

    // With another number it is recreated, and its volume is as before.
    let file = with(", ids: 300000, user: \"200000\"");
    let steps = cloud.ct(&["plan", &file]).ok().stdout;
    assert!(steps.contains("recreated, and its files are lost"), "{steps}");
    cloud.ct(&["up", &file]).ok();
    assert_eq!(map(cloud, "wide/it")[2], 300_000);
    assert_eq!(cloud.inside("h1", "wide/it", whose).ok().stdout, ids);
    assert_eq!(
        run("cat /data/mine; ls /tmp; echo more >/data/more; stat -c %u /data/more"),
        "mine\n200000\n"
    );
    assert_eq!((disk().as_str(), cloud.changed(&file)), ("200000\n", 0));

    // More than the host has left.
    let all = cloud.ct(&["up", &with_two(", ids: 1000000000", ", ids: 200000000")]);
    assert!(all.code != 0 && all.stderr.contains("no free range of"), "{}", all.stderr);
    cloud.end(&file);
    cloud.same("h1", &before, "after down");
}
