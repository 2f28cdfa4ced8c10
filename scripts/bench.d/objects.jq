# From a plan of one host (input) and the resolved stack ($resolved[0].resolved), the same objects as lines for `ip -batch`
# and `bridge -batch`: prints FILE<tab>LINE. The network's lines stand together, so that a tenth of a file is a tenth of it.
def group: 7107448; # as lsx-net's
def hex: [recurse(if . > 15 then . / 16 | floor else empty end) % 16] | reverse | map("0123456789abcdef"[. : . + 1]) | add;
def mac($kind): "02:\($kind):00:00:\((. / 256 | floor) + 16 | hex):\(. % 256 | if . < 16 then "0" + hex else hex end)";
def marked($link; $mark): ("links\tlink set dev \($link) alias \($mark)", "links\tlink property add dev \($link) altname \($mark)");
def made($link): "quiet\t\($link)", "gone\tlink del dev \($link)";
def mark($name; $role): "lsx:bench:\($name):\($role)";

def network($n; $steps; $rows):
  ($steps[] | .after | select(.object == "bridge") |
    "links\tlink add name \(.link) address \($n | mac("b0")) mtu \(.mtu) group \(group) up type bridge stp_state 0 forward_delay 0 ageing_time 30000 mcast_snooping 0",
    marked(.link; mark(.network; "bridge")), made(.link)),
  ($steps[] | .after | select(.object == "tunnel") | . as $t |
    "links\tlink add name \(.link) address \($n | mac("c0")) mtu \(.mtu) group \(group) up master \(.bridge) type vxlan id \(.vni) dstport \(.port) nolearning ttl 64 local \(.local)",
    "links\tlink set dev \(.link) type bridge_slave learning off flood off mcast_flood off bcast_flood off neigh_suppress on",
    marked(.link; mark(.network; "tunnel")), made(.link),
    ($rows[] | select(.remote != $t.local) |
      "links\tneigh replace \(.address) lladdr \(.mac) dev \($t.bridge) nud permanent",
      "rows\tfdb replace \(.mac) dev \($t.link) dst \(.remote) self master static")),
  ($steps[] | .after | select(.object == "leg") |
    "links\tlink add name \(.link) address \($n | mac("d0")) mtu \(.mtu) group \(group) up master \(.bridge) type veth peer name \(.link) address \(.mac) mtu \(.mtu) netns \(.router)",
    marked(.link; mark(.network; "leg")), made(.link),
    "router\taddr add \(.address) dev \(.link)", "router\tlink set dev \(.link) up");

def world: .after | select(.object == "world") | .net as $net |
  ($net | split("/")[0] | split(".") | .[3] |= (tonumber + 1 | tostring) | join(".")) as $inside |
  "links\tlink add name \(.link) address 02:e0:00:00:00:01 mtu 1500 group \(group) up type veth peer name world address 02:e0:00:00:00:02 mtu 1500 netns \(.router)",
  "links\taddr add \($net) dev \(.link)", marked(.link; mark("host"; "world")), made(.link),
  "router\tlink set dev lo up", "router\taddr add \($inside)/31 dev world", "router\tlink set dev world up",
  "router\troute add default via \($net | split("/")[0]) dev world";

def nic($i; $bridges): .instance as $instance |
  "nics\tlink add name \(.link) address \($i | mac("f0")) mtu \(.mtu) group \(group) up master \($bridges[.network]) type veth peer name \(.name) address \(.mac) mtu \(.mtu) netns \($instance)",
  "nics\tlink set dev \(.link) alias \(mark("\($instance).\(.name)"; "nic"))",
  "nics\tlink property add dev \(.link) altname \(mark("\($instance).\(.name)"; "nic"))",
  "nics.quiet\t\(.link)",
  (if .name == "eth0" then "inside.\($instance)\tlink set dev lo up" else empty end),
  "inside.\($instance)\taddr add \(.address) dev \(.name)", "inside.\($instance)\tlink set dev \(.name) up",
  (if .gateway then "inside.\($instance)\troute add default via \(.gateway) dev \(.name)" else empty end);

. as $plan | $resolved[0].resolved as $r
| ([$r.networks[] | {(.name): .bridge}] | add) as $bridges
| ($plan.steps | map(select(.after.network)) | group_by(.after.network[1:] | tonumber) | to_entries[]
    | network(.key; .value; $plan.data.rows[.value[0].after.network])),
  ($plan.steps[] | select(.after.object == "world") | world), # after the networks, and therefore not in the first tenth
  ([$r.instances | map(select(.host == "h1")) | sort_by(.name[1:] | tonumber)[] | .name as $name | .nics[] | . + {instance: $name}] | to_entries[] | .key as $i | .value
    | nic($i; $bridges), "wanted\({stack: "bench", netns: .instance} + . | "\t\(tojson)")"),
  ($plan.steps[].after | select(.object == "firewall") | .place as $place | $plan.contents[.digest] | split("\n")[] | "nft.\($place)\t\(.)")
