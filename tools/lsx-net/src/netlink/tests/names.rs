//! Named namespaces as seen by iproute2, and work inside one.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;

use super::Host;
use crate::netlink::namespace::{self, NamespaceRef};
use crate::netlink::sysctl;

/// A unique name, removed when the test ends.
struct Name(String);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = namespace::delete(&self.0);
    }
}

fn name(what: &str) -> Name {
    Name(format!("lsx-test-{what}-{}", std::process::id()))
}

#[test]
fn a_name_is_what_iproute2_makes() {
    let Some(host) = Host::new() else { return };
    let name = name("made");
    namespace::create(&name.0).expect("a namespace");
    let again = namespace::create(&name.0).expect_err("there already");
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    assert!(namespace::list().expect("names").contains(&name.0));
    assert!(
        host.json("ip -j netns list")
            .as_array()
            .expect("a list")
            .iter()
            .any(|row| row["name"] == name.0.as_str())
    );
    assert!(host.run(&format!("ip netns exec {} ip link", name.0)).status.success());

    let opened = namespace::open(NamespaceRef::Name(&name.0)).expect("a namespace");
    let path = NamespaceRef::Name(&name.0).path().expect("a path");
    let by_path = namespace::open(NamespaceRef::Path(&path)).expect("a namespace");
    let by_process = namespace::open(NamespaceRef::Process(std::process::id())).expect("a namespace");
    let same = |one: &std::os::fd::OwnedFd, other: &std::os::fd::OwnedFd| {
        let identity =
            |space| nix::sys::stat::fstat(space).map(|s| (s.st_dev, s.st_ino)).expect("a namespace");
        identity(one) == identity(other)
    };
    assert!(same(&opened, &by_path));
    assert!(!same(&opened, &by_process));
    assert!(same(&namespace::own().expect("own"), &by_process));
    let there = namespace::inside(opened.as_fd(), namespace::own).expect("inside").expect("own");
    assert!(same(&opened, &there));
    assert!(same(&namespace::own().expect("own"), &by_process), "the caller stayed");

    namespace::delete(&name.0).expect("deleted");
    assert!(!path.exists());
    assert_eq!(namespace::delete(&name.0).expect_err("gone").kind(), ErrorKind::NotFound);
    assert_eq!(namespace::open(NamespaceRef::Name(&name.0)).expect_err("gone").kind(), ErrorKind::NotFound);
}

#[test]
fn iproute2_can_delete_it_and_make_it() {
    let Some(host) = Host::new() else { return };
    let name = name("shared");
    namespace::create(&name.0).expect("a namespace");
    assert!(host.run(&format!("ip netns del {}", name.0)).status.success());
    assert!(!namespace::list().expect("names").contains(&name.0));
    assert!(host.run(&format!("ip netns add {}", name.0)).status.success());
    assert!(namespace::list().expect("names").contains(&name.0));
    namespace::delete(&name.0).expect("deleted");
}

#[test]
fn a_file_left_by_a_crash_is_taken_over() {
    let Some(_host) = Host::new() else { return };
    let name = name("left");
    namespace::create(&name.0).expect("a namespace");
    let path = NamespaceRef::Name(&name.0).path().expect("a path");
    nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
    assert!(path.exists());
    assert!(!namespace::list().expect("names").contains(&name.0));
    assert_eq!(
        namespace::open(NamespaceRef::Name(&name.0)).expect_err("empty").kind(),
        ErrorKind::InvalidInput
    );
    namespace::create(&name.0).expect("repaired");
    namespace::open(NamespaceRef::Name(&name.0)).expect("a namespace");
    namespace::delete(&name.0).expect("deleted");
}

#[test]
fn what_is_not_a_network_namespace_is_refused() {
    let Some(_host) = Host::new() else { return };
    for path in ["/etc/hostname", "/proc/self/ns/mnt", "/proc/self/ns/user", "/dev/null", "/proc/self/stat"] {
        let refused = namespace::open(NamespaceRef::Path(Path::new(path))).expect_err(path);
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{path}: {refused}");
    }
    for name in ["", ".", "..", "a/b", "a\0b"] {
        assert_eq!(namespace::create(name).expect_err("a bad name").kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(
        namespace::open(NamespaceRef::Process(u32::MAX)).expect_err("nobody").kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn settings_belong_to_the_namespace() {
    let Some(host) = Host::new() else { return };
    let there = host.namespace.as_fd();
    let before = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a setting");
    let wanted = if before.trim() == "1" { "0" } else { "1" };
    sysctl::write(there, &[("ipv4/ip_forward", wanted), ("ipv4/conf/all/rp_filter", "2")]).expect("written");
    assert_eq!(sysctl::read(there, "ipv4/ip_forward").expect("a setting").as_deref(), Some(wanted));
    let shown = host.run("sysctl -n net.ipv4.conf.all.rp_filter");
    assert!(!shown.status.success() || shown.stdout == b"2\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a setting"), before);

    assert_eq!(sysctl::read(there, "ipv4/conf/nobody/rp_filter").expect("no setting"), None);
    let refused = sysctl::write(there, &[("ipv4/conf/nobody/rp_filter", "1")]).expect_err("no setting");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(refused.to_string().contains("ipv4/conf/nobody/rp_filter"), "{refused}");
    for key in ["", "../kernel/hostname", "ipv4//ip_forward", "/etc/passwd"] {
        assert_eq!(sysctl::read(there, key).expect_err("outside").kind(), ErrorKind::InvalidInput);
    }
}
