//! Plans of lsx-ct: their inputs, and their warnings.

use crate::again::running;
use crate::cloud::Cloud;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_host_taken_out_is_told_by_lsx_ct_too", a_host_taken_out_is_told_by_lsx_ct_too),
    ("a_plan_from_observed_documents_asks_no_host", a_plan_from_observed_documents_asks_no_host),
];

/// Observed documents suffice, with images, files and secrets of the operator's machine; the plan applies like any other.
fn a_plan_from_observed_documents_asks_no_host(cloud: &Cloud) {
    cloud.lab.file("page.html", "hello\n");
    cloud.lab.file("word.txt", "open-sesame-4711");
    let text = "
  one: { image: bb, host: h1, command: [sleep, \"1000\"], files: { /srv/page: page.html }, secrets: [word] }
  two: { image: other, host: h2, command: [sleep, \"1000\"] }
secrets: { word: \"file:word.txt\" }";
    let file = cloud.stack("seen", text);
    let observed = cloud.ct(&["observe", &file]).ok().stdout;
    let asked = cloud.ct(&["plan", &file]).ok().stdout;
    let observed = cloud.lab.file("seen.json", &observed);
    let copies = |host: &str| cloud.lab.script(host, "ls -R /var/lib/lsx /etc/lsx 2>&1 || true").ok().stdout;
    let before = ["h1", "h2"].map(copies);
    ["h1", "h2"].iter().for_each(|host| _ = cloud.lab.verb(&["cut", host]));
    let plan = cloud.ct(&["plan", &file, "--observed", &observed, "--deadline", "20s"]);
    ["h1", "h2"].iter().for_each(|host| _ = cloud.lab.verb(&["heal", host]));
    assert_eq!(plan.ok().stdout, asked, "the same bytes, with every host away");
    assert_eq!(["h1", "h2"].map(copies), before);
    assert!(!asked.contains("open-sesame"), "{asked}");
    let plan = cloud.lab.file("seen.plan", &asked);
    cloud.ct(&["apply", &plan]).ok();
    assert!(running(cloud, "h1", "seen/one") && running(cloud, "h2", "seen/two"));
    // It is based on the old state.
    cloud.ct(&["apply", &plan]).exits(75);
    let again = cloud.ct(&["plan", &file, "--observed", &observed]).ok().json();
    assert!(!again["steps"].as_array().unwrap().is_empty(), "it only uses the documents");
    cloud.end(&file);
}

/// lsx-ct alone, for a stack whose networks have not been created since.
fn a_host_taken_out_is_told_by_lsx_ct_too(cloud: &Cloud) {
    let text = "
  one: { image: bb, host: h1, command: [sleep, \"1000\"] }
  two: { image: bb, host: h2, command: [sleep, \"1000\"] }";
    let file = cloud.stack("less", text);
    cloud.ct(&["up", &file]).ok();
    let whole = std::fs::read_to_string(&file).unwrap();
    let less: String =
        whole.lines().filter(|line| !line.contains("h2")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, less).unwrap();
    let told = "198.18.0.12 was a host of stack less but is no longer in the document";
    let plan = cloud.ct(&["plan", &file]).ok().json();
    assert!(plan["warnings"].to_string().contains(told), "{plan}");
    for verb in ["up", "up", "check", "ls"] {
        cloud.ct(&[verb, &file]).ok().says(told).says("lsx-ct up --forget 198.18.0.12");
    }
    assert!(running(cloud, "h2", "less/two"), "its instances keep running");
    let away = format!("{} down --stack less", cloud.tool_on("h2"));
    cloud.lab.script("h2", &away).ok();
    cloud.ct(&["check", &file]).ok().says(told);
    let forget = cloud.ct(&["up", "--forget", "198.18.0.12", &file]).ok();
    let after = cloud.ct(&["check", &file]).ok();
    assert!(!forget.stderr.contains(told) && !after.stderr.contains(told), "{}", after.stderr);
    cloud.end(&file);
    for host in ["h1", "h2"] {
        let left = cloud.lab.script(host, "ls /etc/lsx/less 2>&1 || true").ok().stdout;
        assert!(left.contains("No such file"), "{host}: {left}");
    }
}
