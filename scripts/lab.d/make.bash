# Making and unmaking: the lab with its underlay, keys and hosts; the start and the power cut of one host.
# shellcheck shell=bash
# shellcheck disable=SC2154 # name, dir, host, disk, holder, PARTS, STATE are set by scripts/lab

readonly INCUSD=/usr/libexec/incus/incusd
UNPACKED=$(cd "$PARTS/../.." && pwd)/target/incus && readonly UNPACKED # where scripts/setup puts it if it cannot install it

known_services() { # LIST: prints the services to start; says what is not installed
    local service
    for service in ${1//,/ }; do
        case $service in
            docker) need_program docker dockerd docker.io ;;
            lxd) need_program lxd lxd lxd ;;
            incus) [[ -x $INCUSD || -x $UNPACKED$INCUSD ]] || fail 69 '--with incus: incus is not installed' 'scripts/setup --tests' ;;
            ovs) need_program ovs ovs-vswitchd openvswitch-switch ;;
            cron) need_program cron cron cron ;;
            dnsmasq) need_program dnsmasq dnsmasq dnsmasq-base && continue ;;
            *) misused "--with $service: docker, lxd, incus, ovs, cron or dnsmasq" ;;
        esac
        printf '%s ' "$service"
    done
}

need_program() { # SERVICE PROGRAM PACKAGE
    command -v "$2" >/dev/null || fail 69 "--with $1: $2 is not installed" "apt-get install --no-install-recommends $3"
}

make_lab() { # COUNT SERVICES
    local count=$1 services=$2 keys stopped=''
    umask 077
    command -v /usr/sbin/sshd >/dev/null || fail 69 'sshd is not installed' 'scripts/setup'
    # None of these ends it between the folder and the trap that removes it.
    trap 'stopped=130' INT
    trap 'stopped=143' TERM HUP
    # Again, if the last lab's `down` has just removed the folder. An interrupted mkdir would not say whether it made it.
    until mkdir -p "$STATE" && (trap '' INT TERM HUP && exec mkdir "$dir" 2>/dev/null); do
        [[ -z $stopped ]] || exit "$stopped"
        [[ ! -d $dir ]] || fail 75 "$name: there is such a lab already" "scripts/lab down --name $name, or another --name"
    done
    trap give_up EXIT # until everything succeeded and was reported
    stoppable
    [[ -z $stopped ]] || exit "$stopped"
    take_lock
    printf '%s\n' "$services" >"$dir/services"
    [[ $services != *incus* || -x $INCUSD ]] || ln -s "$UNPACKED" "$dir/unpacked"
    # shellcheck disable=SC2046
    mkdir -p $(printf "$dir/h%d/disk $dir/h%d/root " $(seq "$count" | sed p))
    printf '%s\n' "$count" >"$dir/count"
    make_keys "$count" &
    keys=$!
    cgroups_make "$name" holder
    start_holder "$count"
    wait "$keys" || fail 1 'ssh-keygen failed'
    write_ssh "$count"
    start_all "$count"
    describe
    trap - EXIT
}

give_up() {
    trap '' INT TERM HUP # a second one must not stop the removal
    set +e
    unlock
    remove_lab
}

make_keys() { # COUNT
    local each
    ssh-keygen -q -t ed25519 -N '' -C "lab $name" -f "$dir/key" &
    for each in $(known_hosts); do ssh-keygen -q -t ed25519 -N '' -C "$each" -f "$dir/$each/hostkey" & done
    wait
    [[ -s $dir/key.pub && -s $dir/h$1/hostkey.pub ]]
}

start_holder() { # COUNT: one process keeps the underlay's network and the hosts' disks while hosts start and stop
    local ready
    ln -s "/proc/self/ns/net" "$dir/netns"
    read -r ready < <(
        cgroups_enter "$name/holder"
        exec setsid unshare --net --mount -- /bin/bash "$PARTS/holder" "$dir" "$1" "$disk" "$locked"
    ) || true
    [[ ${ready:-} == ready ]] || fail 1 'the underlay could not be made' "$(tail -n 1 "$dir/console" 2>/dev/null)"
    pid_of "$dir/holder"
    holder=$pid
    ln -sfn "/proc/$holder/ns/net" "$dir/netns"
}

write_ssh() { # COUNT
    local each type key
    {
        for each in $(known_hosts); do
            printf 'Host %s\n    HostName %s\n' "$each" "$(address_of "$each")"
        done
        printf 'Host *\n'
        printf '    %s\n' 'User root' "IdentityFile $dir/key" 'IdentitiesOnly yes' 'IdentityAgent none' \
            "UserKnownHostsFile $dir/known_hosts" 'GlobalKnownHostsFile /dev/null' 'StrictHostKeyChecking yes' \
            'UpdateHostKeys no' 'BatchMode yes' 'ConnectTimeout 5'
    } >"$dir/ssh_config"
    for each in $(known_hosts); do
        read -r type key _ <"$dir/$each/hostkey.pub"
        printf '%s,%s %s %s\n' "$each" "$(address_of "$each")" "$type" "$key"
    done >"$dir/known_hosts"
}

start_all() { # all hosts at once
    local each jobs=() job failed=''
    for each in $(known_hosts); do
        boot_host "$each" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || failed=yes; done
    [[ -z $failed ]] || exit 1
}

boot_host() { # HOST: returns when sshd and the services answer; further messages come from fd $news
    local said=''
    cgroups_make "$name" "$1"
    exec {news}< <(start_host "$1")
    read -r said <&"$news" || true
    [[ $said == ready ]] || fail 1 "$1: did not start" "$(tail -n 3 "$dir/$1/console")"
}

start_host() { # HOST: becomes the host's first process
    local services
    read -r -a services <"$dir/services" || true
    exec {locked}<&- 2>>"$dir/$1/console" </dev/null
    cgroups_enter_root "$name/$1"
    exec setsid unshare --cgroup -- /bin/bash "$PARTS/host" "$dir" "$1" "$holder" "${services[@]}"
}

await_boot() {
    local said
    unlock
    read -r said <&"$news" || fail 1 "$host: went down while it ran /etc/lsx/boot.d" "scripts/lab boot $host"
    [[ $said == booted ]]
}

stop_host() { # HOST: kills it without a shutdown, like a power cut
    cgroups_thaw "$name/$1"
    ! pid_of "$dir/$1/pid" || kill_hard "$pid"
    cgroups_kill "$name/$1"
    free_loops "$dir/$1/devices"
    underlay_ip link del "$1" 2>/dev/null || true
    rm -f "$dir/$1/pid" "$dir/$1/netem"
    cgroups_remove "$name/$1"
}

free_loops() { # FILE...: loop devices outlive their host; these are the ones on the file systems it had
    local loop from
    [[ -e /dev/loop-control && -e $1 ]] || return 0
    while read -r loop from; do
        ! cat "$@" | grep -qxF "$from" || losetup --detach "$loop"
    done < <(losetup --noheadings --list --output NAME,BACK-MAJ:MIN 2>/dev/null)
}

remove_lab() {
    local each
    if [[ -d $dir ]]; then
        take_lock
        cgroups_thaw "$name"
        # shellcheck disable=SC2046
        ! pid_of "$dir/holder" || kill_hard $(visitors "/proc/$pid/ns/net" | grep -vx "$pid" || true)
    fi
    for each in "$dir"/h*/pid; do ! pid_of "$each" || kill_hard "$pid"; done
    ! pid_of "$dir/holder" || kill_hard "$pid" # after other processes in it: while it exists, the namespace's number cannot be reused
    cgroups_kill "$name"
    free_loops "$dir"/h*/devices
    cgroups_remove "$name"
    rm -rf --one-file-system "$dir"
}
