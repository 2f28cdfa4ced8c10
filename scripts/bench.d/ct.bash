# The sections of scripts/bench about lsx-ct.
# shellcheck shell=bash
# shellcheck disable=SC2154 # T, ct, lab, rounds are set by scripts/bench

readonly instances=50 on_lxd=10

ct_stack() { # INSTANCES DRIVER: equal instances on one host and one network
    cat <<TEXT
stack: bench
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }
networks: { lan: 10.60.0.0/20 }
images: { busybox: { oci: "tar:$images/busybox.tar" } }
instances:
  i: { image: busybox, host: h1, count: $1, driver: $2, networks: lan, command: [sleep, infinity] }
TEXT
}

section_plan() { # nothing is asked of any host
    local n
    images=$(scripts/images)
    ct_stack 1000 oci >"$T/thousand.yaml"
    jq -nc '{schema: "lsx.ct.observed/1", stack: "bench", host: "h1", base: "", objects: [], instances: [],
        engines: [{driver: "oci", name: "runc", works: true}], program: "/var/lib/lsx/bin/0/lsx-ct"}' >"$T/observed"
    : >"$T/times"
    export LSX_STORE=$T/store
    for ((n = 0; n < rounds; n++)); do took plan "$ct" plan --observed "$T/observed" "$T/thousand.yaml" >"$T/out"; done
    row plan 'plan of 1,000 instances' "$(least "$T/times" plan)" - ms 100
}

section_ct() {
    images=$(scripts/images)
    need_lab 1 --with docker,lxd
    : >"$T/times"
    export LSX_STORE=$T/store
    ct_stack $instances oci >"$T/oci.yaml"
    operator "$tool" up --quiet "$T/oci.yaml" >/dev/null
    operator "$ct" up --quiet "$T/oci.yaml" >/dev/null # the image goes to the host once
    bare_bundle
    docker_image
    ssh_masters_of h1
    local n
    for ((n = 0; n < rounds; n++)); do
        took again operator "$ct" up --quiet "$T/oci.yaml" >/dev/null
        took ssh operator "$T/ssh-true"
        took exec.lsx operator "$ct" exec --quiet --stack "$T/oci.yaml" --on 'i*' -- true >/dev/null
        took down.lsx operator "$ct" down --quiet "$T/oci.yaml" >/dev/null
        took up.bare on_host bash -c "for i in {1..$instances}; do runc create --bundle /bench/b bench-\$i </dev/null >/dev/null 2>&1 && runc start bench-\$i; done"
        took down.bare on_host bash -c "for i in {1..$instances}; do runc delete -f bench-\$i; done"
        took up.docker on_host bash -c "for i in {1..$instances}; do docker run -d --name bench-\$i busybox sleep infinity >/dev/null; done"
        took exec.docker on_host bash -c "for i in {1..$instances}; do docker exec bench-\$i true; done"
        took down.docker on_host bash -c "docker rm -f \$(docker ps -aq) >/dev/null"
        took up.lsx operator "$ct" up --quiet "$T/oci.yaml" >/dev/null
    done
    ct_rows
    operator "$ct" down --quiet "$T/oci.yaml" >/dev/null
    against_lxd
}

ct_rows() {
    local side
    for side in bare docker; do
        local aim=x1.5
        [[ $side == bare ]] || aim=x0.2
        row ct "create and start $instances, remove them, against $side" "$(($(least "$T/times" up.lsx) + $(least "$T/times" down.lsx)))" \
            "$(($(least "$T/times" "up.$side") + $(least "$T/times" "down.$side")))" ms "$aim" \
            "up $(least "$T/times" up.lsx) against $(least "$T/times" "up.$side"), down $(least "$T/times" down.lsx) against $(least "$T/times" "down.$side")"
    done
    row ct "exec in $instances, against a loop of docker exec" "$(least "$T/times" exec.lsx)" "$(least "$T/times" exec.docker)" ms -
    row ct 'up with nothing to do, against ssh true' "$(least "$T/times" again)" "$(least "$T/times" ssh)" ms x1.3
}

bare_bundle() { # the bundle of an instance, but with a folder as root, and without anything of lsx
    on_host mkdir -p /bench/b/rootfs
    on_host tar -C /bench/b/rootfs -x <"$images/busybox.tar"
    on_host jq '.root.path = "/bench/b/rootfs" | .process.args = ["sleep", "infinity"] | del(.linux.cgroupsPath)
        | .mounts |= map(select(.type != "bind"))' /run/lsx/ct/bench/i-1/config.json >"$T/config.json"
    on_host sh -c 'cat >/bench/b/config.json' <"$T/config.json"
    on_host chown -R "$(jq -r '.linux.uidMappings[0].hostID // 0' "$T/config.json")" /bench/b/rootfs
}

docker_image() { on_host docker import - busybox <"$images/busybox.tar" >/dev/null; }

ssh_masters_of() { # HOST: a program that runs `true` there over an existing connection
    local settings="-S $T/ct.%n -o ControlPersist=60" # another lab may have had a host of that name
    # shellcheck disable=SC2016 # expands there
    printf '#!/bin/sh\nexec ssh -F "$LSX_SSH_CONFIG" %s %s true\n' "$settings" "$1" >"$T/ssh-true"
    chmod +x "$T/ssh-true"
    # shellcheck disable=SC2016,SC2086 # expands there; settings are words
    operator sh -c 'exec ssh -F "$LSX_SSH_CONFIG" -M "$@"' ssh $settings -N -f "$1"
}

against_lxd() { # the server's own client does the same with the same image
    ct_stack $on_lxd lxd >"$T/lxd.yaml"
    operator "$tool" up --quiet "$T/lxd.yaml" >/dev/null
    operator "$ct" up --quiet "$T/lxd.yaml" >/dev/null
    # Another stack keeps the image there: lsx-ct removes it with the last instance that is made of it.
    ct_stack 1 lxd | sed 's/^stack: .*/stack: hold/; s/10\.60/10.61/' >"$T/hold.yaml"
    operator "$tool" up --quiet "$T/hold.yaml" >/dev/null
    operator "$ct" up --quiet "$T/hold.yaml" >/dev/null
    local alias pool n
    alias=$(on_host lxc image list --format json | jq -r '.[0].fingerprint')
    on_host lxc image copy "$alias" local: --alias bench >/dev/null 2>&1 || on_host lxc image alias create bench "$alias"
    pool=$(on_host lxc storage list --format json | jq -r '.[0].name')
    for ((n = 0; n < rounds; n++)); do
        took up.lxc on_host bash -c "for i in {1..$on_lxd}; do lxc launch bench x\$i --no-profiles --storage $pool --quiet -c 'raw.lxc=lxc.init.cmd=/bin/sleep infinity' 2>/dev/null; done"
        took down.lxc on_host bash -c "for i in {1..$on_lxd}; do lxc delete -f x\$i; done"
        took down.lxd operator "$ct" down --quiet --only instances.i "$T/lxd.yaml" >/dev/null
        took up.lxd operator "$ct" up --quiet "$T/lxd.yaml" >/dev/null
    done
    row ct "driver lxd: launch $on_lxd, delete them, against lxc" "$(($(least "$T/times" up.lxd) + $(least "$T/times" down.lxd)))" \
        "$(($(least "$T/times" up.lxc) + $(least "$T/times" down.lxc)))" ms x1.1 \
        "up $(least "$T/times" up.lxd) against $(least "$T/times" up.lxc), down $(least "$T/times" down.lxd) against $(least "$T/times" down.lxc)"
}
