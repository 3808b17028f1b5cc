# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The guest's kernel and initrd: Debian's own image, unpacked and never installed, and an initrd of busybox and the modules
# that find the host's root. Kept in a cache of 400 MB, and made anew when anything that goes into them differs. Sourced by run.sh.
#
# The caller sets root (of the project), here (of this directory) and run (the run directory).

readonly kKernelPattern='^linux-image-6\.1\.0-[0-9]+-amd64$'   # not the cloud image: it lacks 9p and e1000e
vm_cache=${XDG_CACHE_HOME:+$XDG_CACHE_HOME/fairlead/vm}
vm_cache=${vm_cache:-$root/build/vm}

# newest_kernel : the newest package that apt knows, or that is unpacked already.
newest_kernel() {
    {
        apt-cache pkgnames linux-image-6.1.0-
        find "$vm_cache" -maxdepth 1 -name 'linux-image-*' ! -name '*.part' -printf '%f\n'
    } | { grep -E "$kKernelPattern" || true; } | sort -V | tail -n 1
}

# fetch_package PACKAGE DIRECTORY : the .deb, checked by apt against the archive's signature.
fetch_package() (
    cd "$2" || exit 1
    # Root downloads as _apt, which may not write here.
    apt-get download -q -o APT::Sandbox::User=root "$1" >&2
)

# unpack_kernel : the package that is in $package into the cache, whole or not at all. An index from before the archive's last kernel names one
# that is gone: the package is then another.
unpack_kernel() {
    local part version offset
    part=$vm_cache/$$.part
    rm -rf "$vm_cache"/*.part
    mkdir -p "$part"
    if ! fetch_package "$package" "$part"; then
        echo "vm: the index of packages may be old: fetching it" >&2
        as_root apt-get update -q >&2
        package=$(newest_kernel)
        fetch_package "$package" "$part"
    fi
    version=${package#linux-image-}
    dpkg-deb -x "$part"/*.deb "$part"
    rm "$part"/*.deb
    [ -f "$part/boot/vmlinuz-$version" ] || { echo "vm: $package holds no boot/vmlinuz-$version" >&2; return 1; }
    depmod -b "$part" "$version"
    # The kernel proper, from behind the xz magic in the image: it saves the guest from unpacking it at each boot.
    IFS=: read -r offset _ < <(LC_ALL=C grep -aobP '\xfd7zXZ\x00' "$part/boot/vmlinuz-$version") || { echo "vm: $package: the image is not packed with xz" >&2; return 1; }
    xz -dc --single-stream < <(tail -c "+$((offset + 1))" "$part/boot/vmlinuz-$version") >"$part/vmlinux"
    rm -r "${part:?}/boot"
    mv "$part" "$vm_cache/$package"
}

# prepare_kernel : sets kernel_directory, which holds vmlinux and lib/modules, and kernel_version. One run at a time.
prepare_kernel() {
    local package lock
    mkdir -p "$vm_cache"
    exec {lock}>"$vm_cache/lock"
    flock "$lock"
    package=$(newest_kernel)
    if [ -z "$package" ]; then
        as_root apt-get update -q >&2
        package=$(newest_kernel)
    fi
    if [ -z "$package" ]; then
        echo "vm: the archive has no linux-image-6.1.0-*-amd64; is Debian 12 (bookworm) in /etc/apt/sources.list?" >&2
        return 1
    fi
    [ -d "$vm_cache/$package" ] || unpack_kernel
    kernel_directory=$vm_cache/$package
    kernel_version=${package#linux-image-}
    prepare_initrd
    exec {lock}>&-
}

# modules_of MODULE... : the files of the modules and of all that they need, in an order in which they can be inserted.
modules_of() {
    local module
    for module in "$@"; do
        modprobe --dirname "$kernel_directory" --set-version "$kernel_version" --show-depends --config /dev/null "$module" |
            sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++'
}

# prepare_initrd : sets initrd. The tree is in the run directory.
prepare_initrd() {
    local tree module modules number=10
    initrd=$kernel_directory/initrd
    if [ "$initrd" -nt "$here/guest/init" ] && [ "$initrd" -nt "$here/kernel.sh" ] && [ "$initrd" -nt /bin/busybox ]; then return 0; fi
    modules=$(modules_of virtio_pci 9p 9pnet_virtio overlay)
    tree=$run/initrd
    mkdir -p "$tree"/{bin,modules,proc,sys,dev,lower,upper,root}
    install -m 755 "$here/guest/init" "$tree/init"
    install -m 755 /bin/busybox "$tree/bin/busybox"
    for module in $modules; do
        cp "$module" "$tree/modules/$number-$(basename "$module")"
        number=$((number + 1))
    done
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$initrd.part"
    rm -rf "$tree"
    mv "$initrd.part" "$initrd"
}
