# From the stack that an LStacker file becomes, to one that runs in a lab: its machines are lab hosts, its images are small
# ones, run by no engine. Networks, addresses, names, ports, recipes and environment stay as they are.

def small: if startswith("ubuntu") then "ssh" else "busybox" end;

del(.resolved)
| .hosts |= (to_entries | sort_by(.key) | to_entries
    | map({key: .value.key, value: {address: "198.18.0.\(11 + .key)", ssh: "root@198.18.0.\(11 + .key)"}}) | from_entries)
| .images |= with_entries(.value = {oci: "tar:images/\(.key | small).tar"})
| .instances |= map_values(
    .command = (if .image | small == "ssh" then ["dropbear", "-F", "-E", "-R", "-s"] else ["sleep", "infinity"] end)
    | .driver = "oci" | del(.profiles))
| .defaults.ssh_keys = ["images/admin.pub"]
