//! cloud-init, which sets up a machine by its metadata.

use crate::metadata::{KEY, get, up};
use lsx_tests::lab::Lab;

pub(crate) const CASES: &[crate::Case] = &[("cloud_init_sets_up_a_machine", cloud_init_sets_up_a_machine)];

/// cloud-init in a root file system of its own, laid over this one, and with a host name of its own.
const SETUP: &str = "d=/mnt; mount -t tmpfs none $d; mkdir $d/upper $d/work $d/root
cp -a UNPACKED/. $d/upper/
mkdir -p $d/upper/etc/cloud/cloud.cfg.d
cat > $d/upper/etc/cloud/cloud.cfg.d/99-test.cfg <<'END'
SOURCE
network: {config: disabled}
ssh_deletekeys: false
ssh_genkeytypes: []
cloud_init_modules: [write-files, set_hostname, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
END
mount -t overlay overlay -o lowerdir=/,upperdir=$d/upper,workdir=$d/work $d/root
for k in proc sysfs; do to=$d/root/proc; [ $k = proc ] || to=$d/root/sys; mount -t $k none $to; done
mount --rbind /dev $d/root/dev; mount -t tmpfs none $d/root/run; mount -t tmpfs none $d/root/tmp
rm -rf $d/root/var/lib/cloud
for stage in init 'modules --mode=config' 'modules --mode=final'; do
    chroot $d/root env DEBUG_PROC_CMDLINE='BOOTED' cloud-init $stage > $d/out 2>&1 || { cat $d/out; exit 1; }
done
echo \"hostname $(hostname)\"
echo \"ran $(cat $d/root/ran)\"
keys() { cat $d/root$(chroot $d/root sh -c \"echo ~$1\")/.ssh/authorized_keys; }
echo \"clerk $(keys clerk)\"
echo \"default $(keys debian | tail -1)\"
echo \"id $(cat $d/root/var/lib/cloud/data/instance-id)\"
echo \"vendor $(cat $d/root/vendor 2>&1)\"
";

fn cloud_init_sets_up_a_machine(lab: &Lab) {
    let unpacked = lsx_tests::top("target/cloud-init");
    if !unpacked.join("usr/bin/cloud-init").exists() {
        eprintln!("SKIPPED: dns-live cloud_init_sets_up_a_machine: no cloud-init; scripts/setup --tests");
        return;
    }
    let town = up(lab);
    let id = get(&town, "ann", "/latest/meta-data/instance-id");
    let before = lab.script("h2", "hostname").ok().stdout;
    let ec2 = "datasource_list: [Ec2]\ndatasource: {Ec2: {strict_id: false, max_wait: 120, timeout: 30}}";
    let nocloud = "datasource_list: [NoCloud]";
    let seed = "ro ds=nocloud-net;s=http://169.254.169.254/nocloud/";
    for (source, line, vendor) in [(ec2, "ro", false), (nocloud, seed, true)] {
        let script = SETUP
            .replace("UNPACKED", unpacked.to_str().unwrap())
            .replace("SOURCE", source)
            .replace("BOOTED", line);
        let run = ["ip", "netns", "exec", "facts.ann", "unshare", "-m", "-u", "sh", "-ec", &script];
        let said = lab.exec("h2", &run).ok().stdout;
        for words in
            ["hostname ann", "ran ann clerk", "clerk ssh-ed25519 AAAAclerk clerk", &format!("id {id}")]
        {
            assert!(said.lines().any(|line| line == words), "{source}: {words}: {said}");
        }
        let key = said.lines().any(|line| line.starts_with("default ") && line.ends_with(KEY));
        assert!(key, "{source}: {said}");
        assert_eq!(said.contains("vendor given"), vendor, "{source}: {said}");
    }
    assert_eq!(lab.script("h2", "hostname").ok().stdout, before);
    town.down();
}
