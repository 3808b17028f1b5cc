# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian roots: made once by debootstrap from this machine's own mirror, and run in by systemd-nspawn, which needs no running systemd.
# Sourced by scripts/package.sh and tests/package/package_test.sh.

# debian_mirror : the one that apt uses here for Debian itself.
debian_mirror() {
    local mirror
    # shellcheck disable=SC2016  # apt's own variables
    mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        awk '$2 !~ /-(security|updates|backports)$/ { print $1; exit }')
    [ -n "$mirror" ] || { echo "root: apt has no mirror of Debian here; add one to its sources" >&2; return 1; }
    echo "$mirror"
}

# make_root DIR RELEASE PACKAGE... : a root of that release with these packages, unless it is there. Half a root is none.
make_root() {
    local directory=$1 release=$2 content
    shift 2
    content="$release $*"
    [ "$(cat "$directory.packages" 2>/dev/null)" != "$content" ] || return 0
    rm -rf --one-file-system "$directory" "$directory.packages"
    mkdir -p "$(dirname "$directory")"
    debootstrap --variant=minbase "$release" "$directory" "$(debian_mirror)" >"$directory.log" 2>&1 ||
        { tail -5 "$directory.log" >&2; echo "root: debootstrap of $release failed; its log is $directory.log" >&2; return 1; }
    root_run "$directory" -- env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q && apt-get install -q -y --no-install-recommends "$@"' \
        sh "$@" >>"$directory.log" 2>&1 || { tail -5 "$directory.log" >&2; echo "root: installing in it failed; see $directory.log" >&2; return 1; }
    echo "$content" >"$directory.packages"
}

# root_run DIR [NSPAWN OPTION...] -- COMMAND... : runs a command in a root, with this machine's network.
root_run() {
    local directory=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    local status=0
    systemd-nspawn --quiet --machine="fairlead-root-$$" --register=no --keep-unit --resolv-conf=copy-host --timezone=off --pipe \
        --directory="$directory" "${options[@]}" "$@" || status=$?
    rmdir "/run/systemd/nspawn/propagate/fairlead-root-$$" 2>/dev/null || true   # what nspawn leaves where /run is not a tmpfs
    return "$status"
}
