# Shared by the scripts in this folder: paths of the tree and its tools, and failure messages.
# shellcheck shell=bash

tree=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
readonly tree
readonly pipeline=(net store pki dns ct snap) # the order of `up`; `down` goes backwards

fail() { # STATUS MESSAGE [HINT]
    printf '%s: %s\n' "${0##*/}" "$2" >&2
    [[ -z ${3:-} ]] || printf '  hint: %s\n' "$3" >&2
    exit "$1"
}

note() { printf '%s: %s\n' "${0##*/}" "$1" >&2; }

use_built_tools() { # [PROFILE...]: puts this tree's newest build of the first of these profiles (release, debug) before all else on PATH
    local folder profile newest=
    [[ -e $tree/Cargo.toml ]] || return 0 # installed
    (($#)) || set -- release debug
    for profile in "$@"; do
        for folder in "${CARGO_TARGET_DIR:-$tree/target}/$(uname -m)-"*"/$profile"; do
            [[ -x $folder/lsx-net ]] || continue
            [[ -n $newest && ! $folder/lsx-net -nt $newest/lsx-net ]] || newest=$folder
        done
        [[ -z $newest ]] || break
    done
    [[ -z $newest ]] || PATH=$newest:$PATH
}

tools_here() { # prints the tools that are on PATH, in the order of the pipeline
    local tool
    for tool in "${pipeline[@]}"; do
        ! command -v "lsx-$tool" >/dev/null || printf '%s ' "lsx-$tool"
    done
}

need_stack() { # STACK: an existing file, because several tools will read it
    [[ -n ${1:-} ]] || fail 64 'no stack file given' "${0##*/} office.yaml"
    [[ -r $1 ]] || fail 66 "$1: no such file"
}
