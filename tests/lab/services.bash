# What `up --with` starts: every daemon does its work in a lab host.
# shellcheck shell=bash
# shellcheck disable=SC2154 # LAB, two, scratch are set by main.sh
# shellcheck disable=SC2016 # the inner shells are to expand these

readonly tiny='r=$(mktemp -d) && cd "$r" && mkdir -p bin sbin dev proc sys etc tmp root run
for p in dash sleep; do
    cp -L "$(command -v $p)" bin/
    for l in $(ldd bin/$p | grep -o "/[^ ]*"); do mkdir -p ".${l%/*}" && cp -L "$l" ".$l"; done
done
mv bin/dash bin/sh && printf "#!/bin/sh\nwhile :; do sleep 60; done\n" >sbin/init && chmod +x sbin/init'

test_services() {
    local with='' program
    for program in dockerd:docker lxd:lxd ovs-vswitchd:ovs dnsmasq:dnsmasq; do
        if command -v "${program%:*}" >/dev/null; then
            with+=,${program#*:}
        else
            skip "--with ${program#*:}" 'not installed'
            refuse "--with ${program#*:} says what to install" 69 '*apt-get install*' "$LAB" up 1 --name "$two" --with "${program#*:}"
        fi
    done
    # Installed, or unpacked by scripts/setup.
    if [[ -x /usr/libexec/incus/incusd || -x ${LAB%/scripts/lab}/target/incus/usr/libexec/incus/incusd ]]; then
        with+=,incus
    else
        skip '--with incus' 'not installed'
        refuse '--with incus says what to do' 69 '*scripts/setup*' "$LAB" up 1 --name "$two" --with incus
    fi
    [[ -n $with ]] || return 0
    check "up --with ${with#,}" said "$LAB" up 1 --name "$two" --with "${with#,}"
    [[ $with != *docker* ]] || test_docker
    [[ $with != *lxd* ]] || test_lxd lxd lxc
    [[ $with != *incus* ]] || test_lxd incus incus
    [[ $with != *ovs* ]] || test_ovs
    "$LAB" down --name "$two"
}

daemon_host() { "$LAB" exec h1 --name "$two" -- sh -euc "$1"; }

test_docker() {
    equal 'docker runs a container' 'from within' \
        "$(daemon_host "$tiny; tar -c . | docker import - tiny >/dev/null; docker run --rm tiny /bin/sh -c 'echo from within'" 2>&1 | tail -n 1)"
    equal 'docker uses overlay2' overlay2 "$(daemon_host 'docker info --format "{{.Driver}}"')"
    equal 'docker drops what is forwarded' '-P FORWARD DROP' "$(daemon_host 'iptables -S FORWARD' | head -n 1)"
}

test_lxd() { # SERVICE CLIENT; not by `init`, which wants dnsmasq for a bridge of its own
    daemon_host "$tiny; mkdir rootfs && mv bin sbin dev proc sys etc tmp root run lib* rootfs/
        printf 'architecture: x86_64\ncreation_date: 1\n' >metadata.yaml && tar -czf ../tiny.tgz metadata.yaml rootfs
        $2 storage create default dir; $2 profile device add default root disk path=/ pool=default
        $2 image import ../tiny.tgz --alias tiny; $2 launch tiny c1 </dev/null" >"$scratch/said" 2>&1 || true
    equal "$1 runs a container" 'from within' \
        "$(daemon_host "$2 exec c1 -- /bin/sh -c 'echo from within' </dev/null" || cat "$scratch/said")"
}

test_ovs() {
    check 'ovs makes a bridge in user space' daemon_host 'ovs-vsctl --timeout 5 add-br br0 -- set bridge br0 datapath_type=netdev; ip link show br0'
}
