# The sections of scripts/bench. Each measures both sides in turn and writes its rows.
# shellcheck shell=bash
# shellcheck disable=SC2154 # T, tool, lab, rounds, parts are set by scripts/bench

least() { # FILE KEY: the least of a key's values
    awk -F'\t' -v key="$2" '$1 == key && (best == "" || $2 < best) { best = $2 } END { print best + 0 }' "$1"
}

took() { # KEY COMMAND...: its milliseconds, as KEY<tab>MS into $T/times
    local key=$1 began=$EPOCHREALTIME
    shift
    "$@"
    local ended=$EPOCHREALTIME
    printf '%s\t%s\n' "$key" "$(((${ended/./} - ${began/./}) / 1000))" >>"$T/times"
}

stack() { # HOSTS NETWORKS INSTANCES NICS SINGLE
    jq -nr --argjson hosts "$1" --argjson networks "$2" --argjson instances "$3" --argjson nics "$4" --argjson single "$5" \
        -f "$parts/stack.jq"
}

observed() { # HOSTS: observed documents of hosts without stacks
    jq -nc --argjson hosts "$1" 'range($hosts) | {schema: "lsx.net.observed/1", stack: "bench", host: "h\(. + 1)", base: "",
        objects: [], program: "/var/lib/lsx/bin/0/lsx-net"}'
}

need_lab() { # HOSTS [OPTION...]
    ((EUID == 0)) || fail 77 'needs root, for namespaces' 'sudo scripts/bench'
    [[ -z ${lab_is_up:-} ]] || scripts/lab down --name "$lab"
    lab_is_up=yes
    scripts/lab up "$@" --name "$lab" >/dev/null
}

on_host() { scripts/lab exec h1 --name "$lab" -- "$@"; }

# --- size and start

section_size() {
    size_of lsx-net "$tool" 8
    size_of lsx-ct "$ct" 10
    size_of lsx-dns "$dns" 8
}

size_of() { # NAME PROGRAM MB
    row size "$1, $(file -b "$2" | grep -oE 'static(-pie|ally) linked' || echo 'not static')" \
        "$(stat -c %s "$2" | awk '{ printf "%.2f", $1 / 1e6 }')" - MB "$3"
}

section_start() {
    need hyperfine hyperfine
    start_of lsx-net "$tool"
    start_of lsx-ct "$ct"
    start_of lsx-dns "$dns"
}

start_of() { # NAME PROGRAM
    hyperfine -N --warmup 20 --runs 300 --export-json "$T/start" "$2 --version" /bin/true >/dev/null 2>&1
    local own bare
    read -r own bare < <(jq -r '[.results[].min * 1000 * 1000 | round / 1000] | "\(.[0]) \(.[1])"' "$T/start")
    row start "$1, more than /bin/true" "$(jq -n "$own - $bare | . * 1000 | round / 1000")" - ms 3 "$own ms and $bare ms"
}

# --- scale

section_scale() {
    [[ -x /usr/bin/time ]] || fail 69 'GNU time is not installed' 'apt-get install --no-install-recommends time'
    stack 100 200 20000 1 0 >"$T/big.yaml"
    stack 100 20 2000 1 0 >"$T/small.yaml"
    observed 100 >"$T/observed"
    : >"$T/scale"
    local n ten
    # shellcheck disable=SC2016 # expands there
    ten=(bash -c 'for n in {1..10}; do "$@" >/dev/null; done' ten)
    for ((n = 0; n < rounds; n++)); do
        weighed resolve.big "$tool" resolve "$T/big.yaml"
        weighed plan.big "$tool" plan --observed "$T/observed" "$T/big.yaml"
        # Ten times: the kernel counts a process's time in hundredths of a second.
        weighed resolve.small "${ten[@]}" "$tool" resolve "$T/small.yaml"
        weighed plan.small "${ten[@]}" "$tool" plan --observed "$T/observed" "$T/small.yaml"
    done
    local verb
    for verb in resolve plan; do
        row scale "$verb, time" "$(least "$T/scale" "$verb.big.s")" - s 1 '100 hosts, 200 networks, 20,000 instances'
        row scale "$verb, memory" "$(least "$T/scale" "$verb.big.kb" | awk '{ print $1 / 1000 }')" - MB 200
        row scale "$verb, growth of processor time" "$(least "$T/scale" "$verb.big.cpu")" "$(least "$T/scale" "$verb.small.cpu")" \
            s x1.2 'against ten times 100 hosts, 20 networks, 2,000 instances'
    done
}

weighed() { # KEY COMMAND...: seconds, seconds of the processor and KB of the peak, into $T/scale
    local key=$1 seconds user system kb
    shift
    /usr/bin/time -o "$T/weight" -f '%e %U %S %M' "$@" >"$T/out"
    read -r seconds user system kb <"$T/weight"
    printf "$key.%s\t%s\n" s "$seconds" cpu "$(jq -n "$user + $system")" kb "$kb" >>"$T/scale"
}

# --- again

section_again() {
    : >"$T/times"
    again_on 3 6 12
    again_dns 3
    again_on 24 24 96
    row again 'up with nothing to do, 24 hosts, against 3' "$(again_took 24)" "$(again_took 3)" ms -
}

again_on() { # HOSTS NETWORKS INSTANCES: networks of some hosts and one of all, routed by the first
    local n hosts=$1
    need_lab "$hosts"
    stack "$hosts" "$2" "$3" 2 0 >"$T/again.yaml"
    operator "$tool" up --quiet "$T/again.yaml" >/dev/null
    ssh_masters "$hosts"
    for ((n = 0; n < rounds * 5; n++)); do
        took "again.$hosts" operator "$tool" up --quiet "$T/again.yaml" >/dev/null
        took "ssh.$hosts" operator "$T/ssh-true"
        took "nothing.$hosts" operator true
    done
    local aim=x1.5
    ((hosts > 3)) || aim=x1.2
    row again "up with nothing to do, $hosts hosts, against ssh true" "$(again_took "$hosts")" \
        "$(($(least "$T/times" "ssh.$hosts") - $(least "$T/times" "nothing.$hosts")))" ms "$aim"
}

again_dns() { # HOSTS: the same stack with names, which the first host serves
    local n
    { cat "$T/again.yaml" && echo 'dns: {}'; } >"$T/names.yaml"
    operator "$tool" up --quiet "$T/names.yaml" >/dev/null
    operator "$dns" up --quiet "$T/names.yaml" >/dev/null
    for ((n = 0; n < rounds * 5; n++)); do
        took again.dns operator "$dns" up --quiet "$T/names.yaml" >/dev/null
        took ssh.dns operator "$T/ssh-true"
        took nothing.dns operator true
    done
    row again "lsx-dns: up with nothing to do, $1 hosts, against ssh true" "$(again_took dns)" \
        "$(($(least "$T/times" ssh.dns) - $(least "$T/times" nothing.dns)))" ms x1.2
}

again_took() { # HOSTS, or dns: without what entering the lab takes
    echo $(($(least "$T/times" "again.$1") - $(least "$T/times" "nothing.$1")))
}

operator() { scripts/lab run --name "$lab" -- "$@"; }

ssh_masters() { # HOSTS: writes a program that runs `true` on the hosts at the same time, over existing connections
    local host hosts settings="-S $T/$1.%n -o ControlPersist=60" # two labs have hosts of the same name
    mapfile -t hosts < <(seq -f h%g "$1")
    {
        printf '#!/bin/sh\n'
        # shellcheck disable=SC2016 # expands there
        for host in "${hosts[@]}"; do printf 'ssh -F "$LSX_SSH_CONFIG" %s %s true &\n' "$settings" "$host"; done
        printf 'wait\n'
    } >"$T/ssh-true"
    chmod +x "$T/ssh-true"
    # shellcheck disable=SC2016,SC2086 # expands there; settings are words
    for host in "${hosts[@]}"; do operator sh -c 'exec ssh -F "$LSX_SSH_CONFIG" -M "$@"' ssh $settings -N -f "$host"; done
}

# --- host

section_host() {
    need_lab 2
    mkdir "$T/host"
    stack 2 200 50 20 1 >"$T/host/stack.yaml"
    "$tool" resolve "$T/host/stack.yaml" >"$T/resolved"
    observed 1 >"$T/observed"
    "$tool" plan --observed "$T/observed" --offline h2 "$T/host/stack.yaml" 2>/dev/null >"$T/plan"
    jq -r --slurpfile resolved "$T/resolved" -f "$parts/objects.jq" "$T/plan" |
        awk -F'\t' -v folder="$T/host" '{ file = $1; sub(/^[^\t]*\t/, ""); print > (folder "/" file) }'
    cp "$tool" "$T/host/lsx-net"
    cp "$parts/host" "$T/host/run"
    tar -C "$T/host" -c . | on_host sh -c 'mkdir bench && tar -C bench -x'
    on_host sh -c "cd bench && ./run $rounds && ./run 1 each" >"$T/times"
    local verb
    for verb in up attach down; do host_rows "$verb"; done
}

host_rows() { # VERB
    local what aim
    case $1 in
        up) what='up of 200 networks' aim=1.15 ;;
        attach) what='attach of 1,000 interfaces' aim=1.5 ;;
        down) what='down of 200 networks' aim=0.3 ;;
    esac
    row host "$what, against ip -batch" "$(least "$T/times" "$1.lsx")" "$(least "$T/times" "$1.batch")" ms "x$aim"
    row host "$what, against a process an object" "$(least "$T/times" "$1.lsx")" "$(($(least "$T/times" "$1.each") * 10))" ms - \
        'that side is a tenth, times ten'
}
