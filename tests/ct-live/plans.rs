//! Plans of lsx-ct: their inputs, and their warnings.

use crate::again::running;
use crate::cloud::Cloud;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_host_taken_out_is_told_by_lsx_ct_too", a_host_taken_out_is_told_by_lsx_ct_too),
    ("a_plan_from_observed_documents_asks_no_host", a_plan_from_observed_documents_asks_no_host),
    ("down_names_what_needs_it_and_runs", down_names_what_needs_it_and_runs),
];

/// The services of tools that come later, by their names, before anything is refused; never those that it is built on.
fn down_names_what_needs_it_and_runs(cloud: &Cloud) {
    let many: String = (0..7)
        .map(|n| format!("  i{n}: {{ image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }}\n"))
        .collect();
    let text = format!(
        "instances:\n  web: {{ image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }}\n{many}\
         balance: {{ www: {{ host: h1, listen: 8090, to: web, port: 80 }} }}"
    );
    let file = cloud.document("needed", &text);
    cloud.start(&file);
    let web = "h1: instance web of stack needed is still running; `lsx-ct down` removes that";
    let more =
        "h2: instance i0, instance i1, instance i2, instance i3, instance i4 and 2 more of stack needed are";
    let named = |words: &str, text: &str| assert!(text.contains(words), "{words}: {text}");
    let ran = cloud.lab.net(&["down", &file]).exits(1);
    [web, more, "still attached"].iter().for_each(|words| named(words, &ran.stderr));
    named(web, &cloud.lab.net(&["plan", "--down", &file]).exits(1).stderr);
    for args in [&["down", &file, "--only", "networks.lan"][..], &["plan", &file], &["up", &file]] {
        assert!(!cloud.lab.net(args).stderr.contains("still running"), "{args:?}");
    }
    // lsx-ct comes after lsx-net, whose load balancers go on.
    let plan = cloud.ct(&["plan", "--down", &file]).ok().json();
    assert!(plan["warnings"].is_null(), "{plan}");
    // An instance that is stopped is not named.
    cloud.ct(&["stop", "web", "--stack", &file]).ok();
    let told = cloud.lab.net(&["plan", "--down", &file]).exits(1).stderr;
    assert!(!told.contains("instance web") && told.contains(more), "{told}");
    cloud.ct(&["down", &file]).ok();
    let plan = cloud.lab.net(&["plan", "--down", &file]).ok().json();
    assert!(plan["warnings"].is_null(), "{plan}");
    cloud.lab.net(&["down", "--quiet", &file]).ok();
    let left = "! test -e /run/lsx/needed && ! test -e /run/lsx/ct/needed && ! pgrep -f '[s]upervise needed'";
    cloud.lab.script("h1", left).ok();
}

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
