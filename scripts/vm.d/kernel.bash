# Debian's kernel for scripts/vm: unpacked from the package, never installed, without drivers that no virtual machine needs.
# shellcheck shell=bash

kernel_here() { compgen -G "$1/lib/modules/*/modules.dep" >/dev/null; } # FOLDER; that file comes last

kernel_package() { # what the package that always depends on the newest kernel depends on today
    apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

kernel_fetch() { # FOLDER
    local package new
    ! kernel_here "$1" || return 0
    package=$(kernel_package)
    [[ -n $package ]] || fail 69 'apt knows no linux-image-amd64' 'apt-get update'
    note "unpacking $package in $1"
    mkdir -p "${1%/*}"
    new=$(mktemp -d "$1.XXXXXX")
    (cd "$new" && apt-get -qq -o APT::Sandbox::User=root download "$package") || {
        rm -rf "$new"
        fail 69 "apt cannot download $package" "apt-get update; apt-get download $package"
    }
    kernel_unpack "$new"
    rm -rf "$1"
    mv "$new" "$1"
}

kernel_unpack() { # FOLDER with one package: leaves vmlinuz and lib/modules/VERSION
    dpkg-deb --fsys-tarfile "$1"/*.deb | tar -x -C "$1" --wildcards \
        --exclude='*/sound' --exclude='*/drivers/gpu' --exclude='*/drivers/media' --exclude='*/drivers/infiniband' \
        --exclude='*/drivers/net/wireless' --exclude='*/drivers/net/ethernet' --exclude='*/drivers/staging' \
        --exclude='*/drivers/iio' --exclude='*/drivers/usb' --exclude='*/drivers/hwmon' --exclude='*/drivers/input' \
        './boot/vmlinuz-*' './lib/modules/*' || return
    rm "$1"/*.deb
    mv "$1"/boot/vmlinuz-* "$1/vmlinuz"
    rmdir "$1/boot"
    find "$1" -name '*.ko.xz' -exec xz -d {} +
    busybox depmod -b "$1" "$(ls "$1/lib/modules")"
}

kernel_modules() { # FOLDER MODULE...: prints the files to load, in order; what is built in has none
    local folder name
    folder=$(echo "$1"/lib/modules/*)
    for name in "${@:2}"; do
        awk -v file="$name.ko:" '{ words = split($1, path, "/") }
            path[words] == file {
                for (n = NF; n > 1; n--) print $n
                print substr($1, 1, length($1) - 1)
            }' "$folder/modules.dep"
    done | awk -v folder="$folder/" '!seen[$0]++ { print folder $0 }'
}
