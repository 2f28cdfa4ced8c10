# Processes of a lab: a recorded id is only valid with the recorded start time, since ids are reused.
# shellcheck shell=bash

start_time() { # PID: prints when it started, in ticks since boot; fails when it is gone or a zombie
    local stat fields
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
    read -r -a fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] || return 1
    printf '%s\n' "${fields[19]}"
}

record_self() { # FILE: writes the id this process has on the machine, and its start time
    local self
    read -r self _ </proc/self/stat
    printf '%s %s\n' "$self" "$(start_time "$self")" >"$1"
}

pid_of() { # FILE: sets pid if the recorded process still exists
    local started
    pid=''
    read -r pid started 2>/dev/null <"$1" || return 1
    [[ $(start_time "$pid") == "$started" ]] || { pid='' && return 1; }
}

kill_hard() { # PID...: ends them and waits until they are gone, at most half a minute
    local id end=$((SECONDS + 30))
    (($#)) || return 0
    kill -KILL "$@" 2>/dev/null || true
    for id; do
        while ((SECONDS < end)) && start_time "$id" >/dev/null; do sleep 0.01; done
    done
}

ancestors() { # prints this shell's id and those of all its parents
    local id=$BASHPID stat
    while ((id > 1)); do
        printf '%s\n' "$id"
        read -r stat <"/proc/$id/stat"
        read -r _ id _ <<<"${stat##*) }"
    done
}

visitors() { # NETNS: prints the processes in this network namespace, but not those that ask
    local space id own
    space=$(readlink "$1") || return 0
    own=" $(ancestors | tr '\n' ' ')"
    while IFS=/ read -r _ _ id _; do
        [[ $own == *" $id "* ]] || printf '%s\n' "$id"
    done < <(find /proc/[0-9]*/ns/net -lname "${space//[\[\]]/?}" 2>/dev/null)
}
