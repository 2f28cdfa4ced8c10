#!/usr/bin/env bash
# Proves scripts/lab: its hosts behave as machines do, several labs do not meet, and nothing of them is left behind.
# shellcheck disable=SC2016 # the inner shells are to expand these
set -euo pipefail

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../scripts" && pwd)/lab
readonly LAB
unset LSX_LAB LSX_SSH_CONFIG

if ((EUID != 0)); then
    echo 'tests/lab: needs root' >&2
    exit 77
fi
if [[ -z ${LAB_TEST_APART:-} ]]; then # so that what others do on this machine meanwhile is not taken for ours
    LAB_TEST_APART=yes exec unshare --mount --net -- "$BASH" "${BASH_SOURCE[0]}" "$@"
fi
mount -t tmpfs tmpfs /run # of our own, too, so that `down --all` is for our labs only

readonly one=test-$$-a two=test-$$-b
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'clean' EXIT

clean() {
    "$LAB" down --name "$one" || true
    "$LAB" down --name "$two" || true
    rm -rf "$scratch"
}

# shellcheck source-path=SCRIPTDIR
source "${LAB%/scripts/lab}/tests/lab/services.bash"
# shellcheck source-path=SCRIPTDIR
source "${LAB%/scripts/lab}/tests/lab/power.bash"

# --- what a check is

pass() { passed=$((passed + 1)) && printf 'ok      %s\n' "$1"; }
skip() { skipped=$((skipped + 1)) && printf 'skipped %s: %s\n' "$1" "$2"; }
flunk() { # NAME [DETAIL]
    failed=$((failed + 1))
    printf 'FAILED  %s\n' "$1"
    [[ -z ${2:-} ]] || printf '        %s\n' "${2//$'\n'/$'\n'        }"
}

check() { # NAME COMMAND...: the command succeeds
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then pass "$name"; else flunk "$name" "$* -> $?: $said"; fi
}

refuse() { # NAME STATUS PATTERN COMMAND...: fails with this status and says this
    local name=$1 status=$2 pattern=$3 said got=0
    shift 3
    said=$("$@" 2>&1 </dev/null) || got=$?
    # shellcheck disable=SC2053 # it is a pattern
    if [[ $got == "$status" && $said == $pattern ]]; then pass "$name"; else flunk "$name" "status $got: $said"; fi
}

equal() { # NAME WANTED GOT
    if [[ $2 == "$3" ]]; then pass "$1"; else flunk "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"; fi
}

said() { "$@" >"$scratch/said"; } # COMMAND...: keeps what it prints

# --- short words for what is done all the time

inside() { "$LAB" exec "$1" --name "$one" -- "${@:2}"; } # HOST COMMAND...
via_ssh() { # DESTINATION COMMAND...
    "$LAB" run --name "$one" -- sh -c 'exec ssh -F "$LSX_SSH_CONFIG" "$@"' sh "$@" </dev/null
}
reaches() { inside "$1" ping -q -c 1 -w 30 "$2"; } # HOST ADDRESS
misses() { ! inside "$1" ping -q -c 1 -W 1 "$2"; }
await() { # COMMAND...: until it succeeds, at most a minute
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) && sleep 0.05 || return 1; done
}
power_cycle() { "$LAB" kill "$1" --name "$one" && "$LAB" boot "$1" --name "$one" "${@:2}"; } # HOST [--wait]

world() { # what must be the same after a lab as before it
    cat /proc/self/mountinfo
    ip -br link
    find /run | sort
    losetup --list --noheadings --output NAME 2>/dev/null || true
    find /sys/fs/cgroup -name "lsx-lab-test-$$-*" 2>/dev/null
    living "lsx-lab-test-$$-a"
    living "lsx-lab-test-$$-b"
}

living() { # TEXT: prints processes that have it in their group or arguments; a zombie has no root folder any more; the machine's process 1 reaps it when it pleases
    local file
    # shellcheck disable=SC2013 # no blanks in these names
    for file in $(grep -sl "$1" /proc/[0-9]*/cgroup /proc/[0-9]*/cmdline); do
        [[ ! -e ${file%/*}/root ]] || printf '%s %s\n' "$file" "$1"
    done
}

members() { # prints every process that is in a network namespace of the lab, by its folder in /proc
    local space
    {
        "$LAB" run --name "$one" -- readlink /proc/self/ns/net
        for host in h1 h2 h3; do inside "$host" readlink /proc/self/ns/net; done
    } | while read -r space; do find /proc/[0-9]*/ns/net -lname "${space//[\[\]]/?}" -printf '%h\n' 2>/dev/null || true; done
}

# --- the checks

test_up() {
    check 'up 3' said "$LAB" up 3 --name "$one"
    check 'up prints JSON with three hosts' jq -e '.hosts | length == 3' "$scratch/said"
    equal 'names and addresses' 'h1 198.18.0.11 h2 198.18.0.12 h3 198.18.0.13' \
        "$(jq -r '[.hosts[] | .name, .address] | join(" ")' "$scratch/said")"
    local command inside
    mapfile -t command < <(jq -r '.hosts[1].command[]' "$scratch/said")
    mapfile -t inside < <(jq -r '.inside[]' "$scratch/said")
    equal 'the argument lists in the JSON work' h2 "$("${inside[@]}" "${command[@]}" hostname)"
    equal 'status agrees with up' "$(jq -S . "$scratch/said")" "$("$LAB" status --name "$one" | jq -S .)"
    refuse 'a second up of the name is refused' 75 '*there is such a lab already*' "$LAB" up 1 --name "$one"
}

test_ssh() {
    local host
    for host in h1 h2 h3; do equal "ssh $host" "$host" "$(via_ssh "$host" hostname)"; done
    equal 'ssh by user and address' 'root h2' "$(via_ssh root@198.18.0.12 'echo $(whoami) $(hostname)')"
    equal 'ssh through a host' h3 "$(via_ssh -J h1 h3 hostname)"
    equal 'admin may sudo' root "$(via_ssh admin@h1 sudo -n whoami)"
    refuse 'nosudo may not' 1 '*' via_ssh nosudo@h1 sudo -n whoami
    cp "/run/lsx-lab/$one/known_hosts" "$scratch/known_hosts"
    sed -i 's/^h2,198.18.0.12 /h1,198.18.0.11 /; t; /^h1/d' "$scratch/known_hosts"
    refuse 'another host key is refused' 255 '*REMOTE HOST IDENTIFICATION HAS CHANGED*' \
        via_ssh -o UserKnownHostsFile="$scratch/known_hosts" h1 true
    refuse 'an unknown host key is refused' 255 '*Host key verification failed*' \
        via_ssh -o UserKnownHostsFile=/dev/null h1 true
}

test_exec() {
    equal 'exec keeps arguments apart' $'a b\n*' "$(inside h1 printf '%s\n' 'a b' '*')"
    refuse 'exec passes the status on' 7 '' inside h1 sh -c 'exit 7'
    equal 'exec passes stdin on' hello "$(inside h1 cat <<<hello)"
    equal 'exec is at home' '/root root h1' "$(inside h1 sh -c 'echo $(pwd) $USER $(hostname)')"
    equal 'run keeps folder and user' "$PWD $(id -un)" "$("$LAB" run --name "$one" -- sh -c 'echo $(pwd) $(id -un)')"
    equal 'run names the ssh_config' "/run/lsx-lab/$one/ssh_config" "$("$LAB" run --name "$one" -- sh -c 'echo $LSX_SSH_CONFIG')"
}

test_host() {
    equal 'process 1 is its own' /sbin/lab-init "$(inside h1 sh -c 'tr "\0" " " </proc/1/cmdline | cut -d" " -f2')"
    check 'processes of the machine are not seen' inside h1 sh -c '[ $(ls -d /proc/[0-9]* | wc -l) -lt 20 ]'
    equal 'eth0 is 1500 bytes' 1500 "$(inside h1 cat /sys/class/net/eth0/mtu)"
    equal 'links' 'eth0 lo' "$(inside h1 sh -c 'echo $(ls /sys/class/net)')"
    equal 'the default route is the operator' 198.18.0.1 "$(inside h1 ip -j route show default | jq -r '.[0].gateway')"
    check 'the operator answers' reaches h1 198.18.0.1
    equal "the machine's state is hidden" '' \
        "$(inside h1 find /run/lsx-lab /var/lib/docker /var/lib/lxd /var/lib/lsx /etc/lsx/boot.d /etc/docker -mindepth 1 2>/dev/null || true)"
    check "the machine's host keys are hidden" inside h1 sh -c '[ $(ls /etc/ssh/*_key | wc -l) = 1 ]'
    equal 'every control group is its own' '' "$(inside h1 sh -c "cut -d: -f3 /proc/1/cgroup | grep -vx -e / -e /init || true")"
    check 'overlays work below /var/lib/lsx' inside h1 sh -c \
        'cd /var/lib/lsx && mkdir u w m && mount -t overlay -o lowerdir=/etc,upperdir=u,workdir=w o m && umount m && rm -r u w m'
    inside h1 sh -c 'for i in 1 2 3 4 5; do (sleep 0.05 &) ; done'
    check 'orphans end' await orphaned
    check 'orphans are reaped' await reaped
    inside h2 sh -c 'echo changed >/etc/motd; echo h2 >/etc/only-h2'
    check 'a change of one host is not seen by another' inside h1 test ! -e /etc/only-h2
    check 'nor by the machine' test ! -e /etc/only-h2
    if [[ -c /dev/net/tun ]]; then check 'tun works' inside h1 ip tuntap add tap9 mode tap; fi
}

orphaned() { ! inside h1 pgrep -fx 'sleep 0.05'; }
reaped() { ! inside h1 sh -c 'grep -q "^State:.Z" /proc/[0-9]*/status'; }

test_cable() {
    check 'ping before the cut' reaches h1 198.18.0.12
    "$LAB" cut h2 --name "$one"
    check 'no ping to a host cut off' misses h1 198.18.0.12
    equal 'its link has no carrier' 0 "$(inside h2 cat /sys/class/net/eth0/carrier)"
    equal 'status says so' cut "$("$LAB" status --name "$one" | jq -r '.hosts[1].state')"
    power_cycle h2
    check 'a power cut does not plug it in' misses h1 198.18.0.12
    "$LAB" heal h2 --name "$one"
    check 'ping after heal' reaches h1 198.18.0.12
    if "$LAB" delay h2 50 --name "$one" 2>"$scratch/said"; then
        check 'delay' inside h1 sh -c "ping -q -c 2 198.18.0.12 | sed -n 's|^rtt[^=]*= \([0-9]*\).*|\1|p' | grep -qx '[5-9].'"
        "$LAB" delay h2 0 --name "$one"
        "$LAB" loss h2 100 --name "$one"
        check 'loss' misses h1 198.18.0.12
        "$LAB" loss h2 0 --name "$one"
    else
        equal 'delay says what is missing' 'lab: delay: this kernel has no netem' "$(head -n 1 "$scratch/said")"
        skip 'delay and loss' 'this kernel has no netem'
    fi
}

test_disk() {
    "$LAB" up 2 --name "$two" --disk 64M >/dev/null
    refuse 'a full disk is full' 1 '*No space left on device*' \
        "$LAB" exec h1 --name "$two" -- dd if=/dev/zero of=/var/lib/lsx/big bs=1M count=80 status=none
    check 'and only that one' "$LAB" exec h2 --name "$two" -- dd if=/dev/zero of=/root/small bs=1M count=10 status=none
}

test_two_labs() {
    "$LAB" exec h1 --name "$two" -- sh -c 'rm -f /var/lib/lsx/big; echo two >/etc/which'
    inside h1 sh -c 'echo one >/etc/which'
    local ask='ssh -F "$LSX_SSH_CONFIG" root@198.18.0.11 cat /etc/which'
    equal 'two labs have the same addresses' 'one two' \
        "$("$LAB" run --name "$one" -- sh -c "$ask" </dev/null) $("$LAB" run --name "$two" -- sh -c "$ask" </dev/null)"
    refuse 'a host the other lab has is not in this one' 69 '*h3: no such host (this lab has h1 h2)*' "$LAB" exec h3 --name "$two" -- true
    "$LAB" down --name "$two"
    check 'down of one leaves the other' reaches h1 198.18.0.12
}

test_loops() {
    [[ -e /dev/loop-control ]] || { skip 'loop devices' 'this machine has none' && return; }
    local before
    before=$(losetup -l)
    inside h1 sh -c 'truncate -s 8M /root/a /var/lib/lsx/a; losetup -f /root/a; losetup -f /var/lib/lsx/a'
    "$LAB" kill h1 --name "$one"
    equal 'loop devices end with their host' "$before" "$(losetup -l)"
    "$LAB" boot h1 --name "$one"
}

test_words() {
    refuse 'no such verb' 64 '*fly: no such verb*' "$LAB" fly
    refuse 'no such option' 64 '*--fast: no such option*' "$LAB" up 3 --fast
    refuse 'a bad count' 64 '*how many hosts*' "$LAB" up many
    refuse 'a bad name' 64 '*a letter, then*' "$LAB" up 1 --name '../x'
    refuse 'no such lab' 69 '*test-none: no such lab*' "$LAB" exec h1 --name test-none -- true
    refuse 'no such service' 64 '*--with nfs: docker, lxd, incus, ovs, cron or dnsmasq*' "$LAB" up 1 --name "$two" --with nfs
    refuse 'no such host' 69 '*h9: no such host (this lab has h1 h2 h3)*' inside h9 true
    refuse 'not root' 77 '*needs root*' setpriv --reuid 65534 --clear-groups -- "$BASH" "$LAB" up 1
    check 'down of nothing is no error' "$LAB" down --name "$two"
    check '--help' "$LAB" --help
}

test_down_all() {
    "$LAB" up 1 --name "$two" >/dev/null
    "$LAB" up 1 --name "$one" >/dev/null
    check 'down --all' "$LAB" down --all
    check 'and then the state folder is gone' test ! -e /run/lsx-lab
}

visited() { # whether the visitor has begun
    local member
    for member in $(members); do ! grep -qxz 1000 "${member%/ns}/cmdline" || return 0; done
    return 1
}

test_down() {
    ("$LAB" run --name "$one" -- sleep 1000 || echo $? >"$scratch/visitor") 2>/dev/null &
    check 'a visitor has begun' await visited
    local members member left=''
    members=$(members)
    check 'down' "$LAB" down --name "$one"
    wait
    equal 'what ran in the lab was ended' 137 "$(cat "$scratch/visitor")"
    for member in $members; do [[ ! -e $member/net ]] || left+=" $member"; done
    check 'the lab had processes' test -n "$members"
    equal 'none of them is left' '' "$left"
    equal 'mounts, links, files, groups, processes are as before' "$1" "$(world)"
}

main() {
    local before
    before=$(world)
    test_up
    test_ssh
    test_exec
    test_host
    test_cable
    test_power
    test_disk
    test_two_labs
    test_loops
    test_words
    test_murder
    test_services
    test_down "$before"
    test_down_all
    equal 'and still all is as before' "$before" "$(world)"
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    ((failed == 0 && passed > 0))
}

main "$@"
