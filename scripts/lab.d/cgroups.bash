# Control groups of a lab, on v1, hybrid and v2 machines alike: /lsx-lab-LAB/HOST in every hierarchy.
# shellcheck shell=bash

cgroups_list() { # prints "TYPE MOUNTPOINT CONTROLLERS" for every hierarchy; CONTROLLERS is what mount -o wants
    local line fields tail option wanted
    while read -r line; do
        [[ $line == *' - cgroup'* ]] || continue
        read -r -a fields <<<"${line%% - *}"
        read -r -a tail <<<"${line##* - }"
        [[ ${fields[3]//\/../} == / || -z ${fields[3]//\/../} ]] || continue # "/../.." is the root seen from a host's namespace
        wanted=''
        for option in ${tail[2]//,/ }; do
            case $option in rw | ro | xattr | nsdelegate | memory_* | release_agent=* | clone_children | noprefix) ;; *) wanted+=,$option ;; esac
        done
        printf '%s %s %s\n' "${tail[0]}" "${fields[4]}" "${wanted#,}"
    done </proc/self/mountinfo
}

cgroups_mounts() { cgroups_list | while read -r _ mountpoint _; do printf '%s\n' "$mountpoint"; done; }

cgroups_make() ( # LAB MEMBER: MEMBER is a host, or "holder"
    local type mountpoint controllers
    umask 022 # daemons of a host read it after they drop their privileges
    while read -r type mountpoint controllers; do
        [[ -w $mountpoint ]] || continue
        mkdir -p "$mountpoint/lsx-lab-$1"
        if [[ $type == cgroup2 ]]; then
            cgroups_delegate "$mountpoint" "$mountpoint/lsx-lab-$1"
            mkdir -p "$mountpoint/lsx-lab-$1/$2/init"
        elif [[ $controllers == *cpuset* ]]; then # otherwise a new group has no processor and accepts no process
            cgroups_inherit "$mountpoint" "lsx-lab-$1"
        fi
        mkdir -p "$mountpoint/lsx-lab-$1/$2"
    done < <(cgroups_list)
)

cgroups_inherit() { # MOUNTPOINT GROUP: cpuset of v1 starts empty, so a group takes its parent's, and passes it on
    local file
    for file in cpuset.cpus cpuset.mems; do cat "$1/$file" >"$1/$2/$file"; done
    echo 1 >"$1/$2/cgroup.clone_children"
}

cgroups_delegate() { # FOLDER...: gives the children of each folder every controller it has
    local folder controller
    for folder; do
        for controller in $(<"$folder/cgroup.controllers"); do
            echo "+$controller" >"$folder/cgroup.subtree_control" 2>/dev/null || true
        done
    done
}

cgroups_enter() { # LAB/HOST: moves this shell; on v2 into the leaf, as only leaves may hold processes
    local type mountpoint group
    while read -r type mountpoint _; do
        group=$mountpoint/lsx-lab-$1
        [[ $type != cgroup2 ]] || group+=/init
        [[ ! -w $group/cgroup.procs ]] || echo "$BASHPID" >"$group/cgroup.procs"
    done < <(cgroups_list)
}

cgroups_enter_root() { # LAB/HOST: as above but on v2 the group itself, which is to be the namespace's root
    local mountpoint
    for mountpoint in $(cgroups_mounts); do
        [[ ! -w $mountpoint/lsx-lab-$1/cgroup.procs ]] || echo "$BASHPID" >"$mountpoint/lsx-lab-$1/cgroup.procs"
    done
}

cgroups_folders() { # LAB or LAB/HOST: prints its folder in every hierarchy where it exists
    local mountpoint
    for mountpoint in $(cgroups_mounts); do
        [[ ! -d $mountpoint/lsx-lab-$1 ]] || printf '%s\n' "$mountpoint/lsx-lab-$1"
    done
}

cgroups_processes() { # LAB or LAB/HOST: prints the ids of all processes below it
    local folders
    mapfile -t folders < <(cgroups_folders "$1")
    ((${#folders[@]})) || return 0
    find "${folders[@]}" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un
}

cgroups_thaw() { # LAB or LAB/HOST: a frozen process does not end, whatever signal it gets
    local folders file
    mapfile -t folders < <(cgroups_folders "$1")
    ((${#folders[@]})) || return 0
    find "${folders[@]}" \( -name freezer.state -o -name cgroup.freeze \) 2>/dev/null | while read -r file; do
        if [[ $file == */freezer.state ]]; then echo THAWED; else echo 0; fi 2>/dev/null >"$file" || true
    done
}

cgroups_kill() { # LAB or LAB/HOST: repeats until no process is left, since some may just be starting others
    local ids pause='' end=$((SECONDS + 60))
    while ((SECONDS < end)); do
        mapfile -t ids < <(cgroups_processes "$1")
        ((${#ids[@]})) || return 0
        cgroups_thaw "$1"
        ${pause:+sleep "$pause"}
        kill_hard "${ids[@]}"
        pause=0.02
    done
}

cgroups_remove() { # LAB or LAB/HOST; the caller has killed the processes, which may not have ended yet
    local folders end=$((SECONDS + 30))
    while mapfile -t folders < <(cgroups_folders "$1") && ((${#folders[@]} && SECONDS < end)); do
        find "${folders[@]}" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.02
    done
}
