//! The proxy of a stack in the files of instances: written if a program reads them, and removed with the proxy.

use crate::Case;
use crate::cloud::Cloud;

pub(crate) const CASES: &[Case] =
    &[("the_proxy_is_where_logins_and_packages_look", the_proxy_is_where_logins_and_packages_look)];

const TEXT: &str = "
  full:
    image: bb
    host: h1
    networks: [lan]
    command: [sleep, \"1000\"]
    files: { /etc/pam.d/sshd: some, /etc/profile.d/some.sh: some, /etc/apt/apt.conf.d/50some: some, /etc/environment: environment, /etc/dnf/dnf.conf: dnf }
  bare: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"] }
  own: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], proxy: false, files: { /etc/pam.d/sshd: some } }";

fn the_proxy_is_where_logins_and_packages_look(cloud: &Cloud) {
    let lab = &cloud.lab;
    lab.file("some", "# some\n");
    lab.file("environment", "KEPT=1\n");
    lab.file("dnf", "[main]\ngpgcheck=1\n");
    let proxy = "\ndefaults: { proxy: { http: \"http://198.18.9.9:3128\", https: \"http://198.18.9.9:3129\", except: [.internal, 10.0.0.0/8] } }";
    let file = cloud.stack("proxy", &format!("{TEXT}{proxy}"));
    cloud.start(&file);
    let read = |of: &str, script: &str| cloud.inside("h1", &format!("proxy/{of}"), script).ok().stdout;
    let environment = read("full", "cat /etc/environment");
    assert!(environment.starts_with("KEPT=1\n"), "{environment}");
    for line in [
        "http_proxy=http://198.18.9.9:3128",
        "HTTPS_PROXY=http://198.18.9.9:3129",
        "no_proxy=.internal,10.0.0.0/8",
    ] {
        assert!(environment.lines().any(|l| l == line), "{line}: {environment}");
    }
    // A login shell, without the instance's own environment.
    let login = read("full", "env -i /bin/sh -c '. /etc/profile.d/lsx-proxy.sh; echo $https_proxy'");
    assert_eq!(login, "http://198.18.9.9:3129\n");
    // As apt itself reads its file.
    let apt = lab.file("apt.conf", &read("full", "cat /etc/apt/apt.conf.d/95lsx-proxy"));
    let said =
        std::process::Command::new("apt-config").args(["-c", &apt, "dump", "Acquire"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("Acquire::http::Proxy \"http://198.18.9.9:3128\";"), "{said}");
    assert!(said.contains("Acquire::https::Proxy \"http://198.18.9.9:3129\";"), "{said}");
    let dnf = read("full", "cat /etc/dnf/dnf.conf");
    assert!(dnf.starts_with("[main]\n") && dnf.contains("\nproxy=http://198.18.9.9:3128\n"), "{dnf}");
    assert!(dnf.ends_with("gpgcheck=1\n"), "{dnf}");
    let own = "tr '\\0' '\\n' </proc/1/environ | grep ^http_proxy= || true";
    let files = "ls -d /etc/apt /etc/pam.d /etc/dnf /etc/yum.conf 2>/dev/null || true";
    assert_eq!(read("bare", &format!("{files}; {own}")), "http_proxy=http://198.18.9.9:3128\n");
    assert_eq!(read("own", &format!("{own}; grep proxy /etc/environment 2>/dev/null || true")), "");
    cloud.ct(&["restart", "full", "--stack", &file]).ok();
    assert_eq!(read("full", "cat /etc/environment"), environment, "once, not at each start");
    assert_eq!(cloud.changed(&file), 0);
    // Only lsx's lines are removed with the proxy.
    let file = cloud.stack("proxy", TEXT);
    cloud.ct(&["up", &file]).ok();
    assert_eq!(read("full", &format!("cat /etc/environment; {own}")), "KEPT=1\n");
    assert_eq!(read("full", "cat /etc/dnf/dnf.conf"), "[main]\ngpgcheck=1\n");
    assert_eq!(read("full", "ls /etc/apt/apt.conf.d /etc/profile.d | grep lsx || true"), "");
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
}
