//! The allowed system calls: those of Docker's default profile, so that images work as usual. The list is data, in a
//! separate file; runtimes skip calls that a kernel or library does not know.

use serde_json::{Value, json};

const LIST: &str = include_str!("syscalls.txt");
/// CLONE_NEW*: the namespaces that `clone` must not make (sched.h).
const NAMESPACES: u64 = 0x7e02_0000;
/// Reported as not implemented, so that libc falls back to `clone`, whose flags can be checked.
const ENOSYS: u32 = 38;
/// Address families of sockets (socket.h): those that kernels still have, except AF_ALG (38), which applications rarely
/// need and attacks use, and AF_VSOCK (40), which reaches the hypervisor.
const FAMILIES: [u64; 36] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33,
    35, 36, 39, 41, 42, 43, 44, 45,
];
/// The personalities that Docker allows: Linux, its 32-bit and uname-2.6 variants, and queries.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Requests of ioctl that btrfs gives a name of a subvolume, snapshot or device (`_IOW(0x94, N, 4096 bytes)` with any N, btrfs.h):
/// what an instance makes by them would count to no limit of its volume.
const NAMED_IN_BTRFS: u32 = 0x5000_9400;
/// The bits of a request that are the same in all of them.
const REQUEST: u32 = 0xffff_ff00;

/// Names of a section of the list.
fn names(section: &str) -> Vec<&'static str> {
    let head = format!("[{section}]");
    let lines = LIST.lines().skip_while(|line| *line != head).skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect()
}

/// The profile for an architecture as named by `uname -m`, in the format of the OCI runtime specification. `capabilities`
/// are those of the instance; `init` is whether it is a whole system with its own ids.
pub(super) fn profile(init: bool, capabilities: &[&str], architecture: &str) -> Value {
    let mut allowed = [names("always"), names(architecture)].concat();
    allowed.extend(capabilities.iter().flat_map(|capability| names(capability)));
    allowed.extend(if init { names("system") } else { Vec::new() });
    let mut rules = vec![json!({"names": allowed, "action": "SCMP_ACT_ALLOW"})];
    // The first families are a range from 1: runtimes treat two comparisons of one argument as alternatives.
    let run = FAMILIES.iter().zip(1..).take_while(|(family, n)| *family == n).count();
    let socket = |value: u64, op: &str| json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": op}]});
    rules.push(socket(FAMILIES[run - 1] + 1, "SCMP_CMP_LT"));
    rules.extend(FAMILIES[run..].iter().map(|family| socket(*family, "SCMP_CMP_EQ")));
    rules.extend(PERSONALITIES.map(|value| {
        json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
    }));
    rules.extend(requests());
    if !capabilities.contains(&"CAP_SYS_ADMIN") {
        rules.push(json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}));
        rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}));
    }
    let architectures = match architecture {
        "x86_64" => vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => vec!["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => Vec::new(),
    };
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": architectures, "syscalls": rules})
}

/// Requests of ioctl that pass: those that differ from the refused ones in one bit at least. The kernel ignores the upper half of the
/// argument, so that ranges of its whole could be passed by; a mask leaves it out.
fn requests() -> impl Iterator<Item = Value> {
    let bits = (0..u32::BITS).rev().map(|bit| 1_u32 << bit).filter(|bit| REQUEST & bit != 0);
    bits.map(|bit| {
        json!({"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 1, "value": bit, "valueTwo": !NAMED_IN_BTRFS & bit, "op": "SCMP_CMP_MASKED_EQ"}]})
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn allowed(init: bool, capabilities: &[&str]) -> BTreeSet<String> {
        let profile = profile(init, capabilities, "x86_64");
        let names = profile["syscalls"][0]["names"].as_array().unwrap();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_name_stands_once_in_a_section_and_none_is_lost() {
        let mut section = "";
        let mut seen = BTreeSet::new();
        for line in LIST.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
            }
            for name in line.split_whitespace().filter(|_| !line.starts_with('[')) {
                assert!(
                    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                    "{name}"
                );
                assert!(seen.insert((section, name)), "{section} {name}");
            }
        }
        assert!(seen.len() > 380, "{}", seen.len());
    }

    #[test]
    fn what_differs_from_docker_is_known_in_both_directions() {
        let application = ["CAP_SYS_CHROOT"];
        let docker: BTreeSet<String> = [names("always"), names("x86_64"), names("CAP_SYS_CHROOT")]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let ours = allowed(false, &application);
        assert_eq!(ours.difference(&docker).collect::<Vec<_>>(), Vec::<&String>::new());
        assert_eq!(docker.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new());
        // Always blocked: calls that give access to the kernel, to other processes' memory, or to the host.
        for name in "bpf io_uring_setup io_uring_enter io_uring_register kexec_load keyctl add_key mount \
            unshare setns open_by_handle_at perf_event_open userfaultfd init_module pivot_root \
            swapon reboot iopl lookup_dcookie quotactl syslog move_pages nfsservctl vm86 clone \
            clone3 ioctl socket personality"
            .split_whitespace()
        {
            assert!(!ours.contains(name), "{name}");
        }
        // Decided since 2023: allowed, as in Docker.
        for name in "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount \
            listmount mseal setxattrat getxattrat listxattrat removexattrat uretprobe"
            .split_whitespace()
        {
            assert!(ours.contains(name), "{name}");
        }
        let system = allowed(true, &["CAP_SYS_CHROOT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT"]);
        for name in "mount pivot_root reboot clone3 open_tree".split_whitespace() {
            assert!(system.contains(name), "{name}");
        }
        assert!(!system.contains("init_module") && !system.contains("kexec_load"));
    }

    #[test]
    fn families_of_sockets_are_those_that_are_named() {
        let profile = profile(false, &[], "x86_64");
        let passes = |family: u64| {
            profile["syscalls"].as_array().unwrap().iter().filter(|rule| rule["names"][0] == "socket").any(
                |rule| {
                    let (value, op) =
                        (rule["args"][0]["value"].as_u64().unwrap(), rule["args"][0]["op"].as_str().unwrap());
                    if op == "SCMP_CMP_LT" { family < value } else { op == "SCMP_CMP_EQ" && family == value }
                },
            )
        };
        for family in [1, 2, 10, 16, 17, 29, 31, 44, 45] {
            assert!(passes(family), "{family}");
        }
        // DECnet, ECONET, ATMSVC, IRDA, WANPIPE, ISDN, CAIF no longer exist; ALG and VSOCK are blocked.
        for family in [12, 19, 20, 23, 25, 34, 37, 38, 40, 46, 200] {
            assert!(!passes(family), "{family}");
        }
    }

    #[test]
    fn an_instance_makes_no_subvolumes() {
        let profile = profile(true, &["CAP_SYS_ADMIN"], "x86_64");
        let passes = |request: u64| {
            profile["syscalls"].as_array().unwrap().iter().filter(|rule| rule["names"][0] == "ioctl").any(
                |rule| {
                    let arg = &rule["args"][0];
                    let number = |name: &str| arg[name].as_u64().unwrap();
                    assert!(arg["index"] == 1 && arg["op"] == "SCMP_CMP_MASKED_EQ", "{rule}");
                    request & number("value") == number("valueTwo")
                },
            )
        };
        // BTRFS_IOC_SNAP_CREATE, SUBVOL_CREATE, and the second versions of both; the kernel reads only the lower half.
        for request in [0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418] {
            assert!(!passes(request) && !passes(request | 1 << 32) && !passes(request | 0xffff_ffff << 32));
        }
        // TCGETS, TIOCGWINSZ, FIONREAD, SIOCGIFCONF, FICLONE, FICLONERANGE, FIDEDUPERANGE, FS_IOC_GETFLAGS, TUNSETIFF,
        // BTRFS_IOC_DEFRAG_RANGE, and numbers beside the refused ones.
        for request in [
            0x5401,
            0x5413,
            0x541b,
            0x8912,
            0x4004_9409,
            0x4020_940d,
            0xc018_9436,
            0x8008_6601,
            0x4004_54ca,
            0x4010_9410,
            0x5000_9300,
            0x5000_9500,
            0x5001_9401,
            0xd000_9401,
            0,
            0xffff_ffff,
        ] {
            assert!(passes(request), "{request:x}");
        }
    }
}
