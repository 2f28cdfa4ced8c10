# Power cuts of hosts, and labs whose `up` was killed or interrupted.
# shellcheck shell=bash
# shellcheck disable=SC2154 # LAB, one, two, scratch are set by main.sh
# shellcheck disable=SC2016 # the inner shells are to expand these

test_power() {
    inside h3 sh -c 'echo kept >/root/kept; echo kept >/var/lib/lsx/kept; echo lost >/run/lost; mkdir -p /etc/lsx/boot.d'
    # The hooks wait for a word on the disk.
    inside h3 sh -c 'cd /etc/lsx/boot.d && for i in 2 1; do printf "#!/bin/sh\nuntil test -e /root/go; do sleep 0.1; done; echo hook $i\n" >$i && chmod +x $i; done; echo no >3'
    local key
    key=$(inside h3 cat /etc/ssh/ssh_host_ed25519_key.pub)
    check 'kill' "$LAB" kill h3 --name "$one"
    check 'a dead host does not answer' misses h1 198.18.0.13
    refuse 'exec in it says so' 69 '*h3: is not running*boot h3*' inside h3 true
    check 'kill of the dead is no error' "$LAB" kill h3 --name "$one"
    equal 'boot prints nothing' '' "$(timeout 300 "$LAB" boot h3 --name "$one")"
    equal 'and does not wait for hooks' '' "$(inside h3 cat /var/log/lsx-boot.log 2>/dev/null)"
    check 'the disk is as it was' inside h3 test -e /root/kept -a -e /var/lib/lsx/kept
    check '/run is empty' inside h3 test ! -e /run/lost
    equal 'the host key is the same' "$key" "$(inside h3 cat /etc/ssh/ssh_host_ed25519_key.pub)"
    equal 'ssh works at once' h3 "$(via_ssh h3 hostname)"
    check 'its neighbours reach it' reaches h1 198.18.0.13
    inside h3 sh -c 'rm -f /var/log/lsx-boot.log; touch /root/go'
    power_cycle h3 --wait
    equal 'boot.d runs in order' $'hook 1\nhook 2' "$(inside h3 cat /var/log/lsx-boot.log)"
    refuse 'boot of a running host is refused' 1 '*is running already*' "$LAB" boot h3 --name "$one"
    inside h3 rm -r /etc/lsx/boot.d
    freeze h3
    check 'kill of a host whose processes are frozen' "$LAB" kill h3 --name "$one"
    equal 'ends them' '' "$(living "/lsx-lab-$one/h3")"
    check 'and it starts again' "$LAB" boot h3 --name "$one"
    check 'ten power cuts in a row' ten_cuts
    { inside h2 sh -c 'kill 1' || true; } 2>/dev/null
    check 'process 1 ends its host' await is_off h2
    check 'a host that went down by itself starts again' "$LAB" boot h2 --name "$one"
}

freeze() { # HOST: stops all of its processes by its control group
    local file
    find /sys/fs/cgroup -path "*/lsx-lab-$one/$1/freezer.state" -o -path "*/lsx-lab-$one/$1/cgroup.freeze" | while read -r file; do
        if [[ $file == */freezer.state ]]; then echo FROZEN; else echo 1; fi >"$file"
    done
}

is_off() { "$LAB" status --name "$one" | jq -e --arg host "$1" '.hosts[] | select(.name == $host) | .state == "off"'; } # HOST

ten_cuts() { for _ in {1..10}; do power_cycle h3 && inside h3 test -e /root/kept || return 1; done; }

test_murder() { # kill -9 of `up` at some moments of its life
    local delay left='' group=''
    for delay in 0.02 0.06 0.1 0.15 0.2 0.3 0.5; do
        setsid "$LAB" up 3 --name "$two" >/dev/null 2>&1 &
        sleep "$delay"
        kill -KILL -- "$group$!" 2>/dev/null || true # now all it has started, now only itself
        if [[ -n $group ]]; then group=''; else group=-; fi
        wait $! 2>/dev/null || true
        "$LAB" down --name "$two" || left+=" $delay:status"
        ! world | grep "test-$$-b" >&2 || left+=" $delay"
    done
    equal 'down removes what a killed up has left' '' "$left"
    for delay in 0.01 0.02 0.03 0.04 0.05 0.06 0.07 0.1 0.3; do # some of them while it has just begun
        timeout --signal INT "$delay" "$LAB" up 3 --name "$two" >/dev/null 2>&1 || true
        ! world | grep "test-$$-b" >&2 || left+=" $delay"
    done
    equal 'an interrupted up leaves nothing' '' "$left"
    "$LAB" up 3 --name "$two" >/dev/null 2>&1 &
    local first=$!
    local won=0
    ! "$LAB" up 3 --name "$two" >/dev/null 2>&1 || won=$((won + 1))
    ! wait $first || won=$((won + 1))
    equal 'of two ups of one name at once one wins' 1 "$won"
    "$LAB" down --name "$two"
}
