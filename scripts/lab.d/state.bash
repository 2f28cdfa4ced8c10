# The state of labs: files in the state folder, checks for missing programs and features, and the JSON.
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # name, dir, host, STATE are set by scripts/lab; holder is for make.bash

known_labs() {
    local folder
    for folder in "$STATE"/*/; do [[ ! -d $folder ]] || basename "$folder"; done
}

known_hosts() { printf 'h%d\n' $(seq "$(<"$dir/count")"); }

need_lab() {
    local labs
    if [[ ! -d $dir ]]; then
        labs=$(known_labs | tr '\n' ' ')
        fail 69 "$name: no such lab (${labs:+there is ${labs% }}${labs:-there is none})" "scripts/lab up 3 --name $name"
    fi
    if ! pid_of "$dir/holder" || [[ ! -e $dir/known_hosts ]]; then
        flock --nonblock "$dir" true || fail 75 "$name: is being made or removed" 'try again'
        fail 69 "$name: the lab is broken, its holder process is gone" "scripts/lab down --name $name"
    fi
    holder=$pid
}

need_host() {
    [[ -n $host ]] || misused "$verb: which host?"
    need_lab
    [[ -d $dir/$host/disk && $host == h* ]] || fail 69 "$host: no such host (this lab has $(known_hosts | tr '\n' ' ' | sed 's/ $//'))"
}

need_running() { pid_of "$dir/$host/pid" || fail 69 "$host: is not running" "scripts/lab boot $host"; }

take_lock() { # one change of a lab at a time; the folder itself is the lock, so no file is left
    exec {locked}<"$dir"
    flock --wait 120 "$locked" || fail 75 "$name: another scripts/lab is changing this lab" 'try again'
}

lock() {
    take_lock
    [[ $dir/. -ef /proc/self/fd/$locked ]] || fail 69 "$name: this lab has just been removed"
}

unlock() { [[ -z ${locked:-} ]] || exec {locked}<&-; }

underlay_ip() { nsenter --net="$dir/netns" -- ip "$@"; }

address_of() { printf '198.18.0.%d' $((10 + ${1#h})); }

state_of() { # HOST: running, cut or off
    if ! pid_of "$dir/$1/pid"; then
        echo off
    elif [[ -e $dir/$1/cut ]]; then
        echo cut
    else
        echo running
    fi
}

describe() { # all values are written by this script and need no escapes
    local each address separator=''
    printf '{"name":"%s","hosts":[' "$name"
    for each in $(known_hosts); do
        address=$(address_of "$each")
        printf '%s{"name":"%s","address":"%s","state":"%s","ssh":"root@%s",' "$separator" "$each" "$address" "$(state_of "$each")" "$address"
        printf '"command":["ssh","-F","%s","%s"],"key":"%s","config":"%s"}' "$dir/ssh_config" "$each" "$dir/key" "$dir/ssh_config"
        separator=,
    done
    printf '],"operator":"198.18.0.1","netns":"%s","config":"%s",' "$dir/netns" "$dir/ssh_config"
    printf '"inside":["env","LSX_SSH_CONFIG=%s","LSX_LAB=%s","nsenter","--net=%s","--"]}\n' "$dir/ssh_config" "$name" "$dir/netns"
}
