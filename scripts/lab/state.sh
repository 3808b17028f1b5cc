# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's directory: its name is claimed by making it, everything that the lab writes is in it, and `down` finds there
# what `up` made. Sourced by scripts/lab.sh.

# one_at_a_time COMMAND... : no other lab claims or releases meanwhile: they share kLabRoot and the mount of /run/netns.
# What is locked is the directory above, which stays; a subshell, so that nothing that the lab starts inherits the lock.
one_at_a_time() (
    mkdir -p "$(dirname "$kLabRoot")"
    exec {lock}<"$(dirname "$kLabRoot")"
    flock --wait 60 "$lock" || die "another lab has been starting or ending for 60 s"
    "$@"
)

claim_lab() { one_at_a_time make_claim; }
release_lab() { one_at_a_time drop_claim; }

make_claim() {
    mkdir -p "$kLabRoot"
    if ! mkdir "$(lab_directory)" 2>/dev/null; then
        die "a lab named '$lab_name' exists; end it with: scripts/lab.sh down --name $lab_name"
    fi
    chmod 755 "$(lab_directory)"
    mkdir -p "$kTableRoot/$lab_name"
    # `ip netns` leaves its directory and a mount on it behind; the last lab to go removes them, if a lab brought them.
    if ! mountpoint -q /run/netns; then
        touch "$kLabRoot/.made-netns-mount"
    fi
    printf '%s=%q\n' balancer_count "$balancer_count" backend_count "$backend_count" client_count "$client_count" \
        worker_count "$worker_count" ecmp "$ecmp" idle "$idle" servers "$servers" dataplane_options "$dataplane_options" \
        backend_options "$backend_options" programs "$programs" >"$(lab_directory)/plan"
}

lab_exists() { [ -f "$(lab_directory)/plan" ]; }

load_lab() {
    lab_exists || die "no lab named '$lab_name'; start one with: scripts/lab.sh up --name $lab_name"
    # shellcheck disable=SC1091
    source "$(lab_directory)/plan"
}

drop_claim() {
    rm -rf "$(lab_directory)" "${kTableRoot:?}/$lab_name"
    rmdir "$kTableRoot" 2>/dev/null || true      # another lab's are there
    [ -d "$kLabRoot" ] || return 0      # another `down` was the last
    local left
    left=$(find "$kLabRoot" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -1)
    [ -z "$left" ] || return 0
    if [ -e "$kLabRoot/.made-netns-mount" ] && mountpoint -q /run/netns && [ -z "$(ls -A /run/netns)" ]; then
        # -n: no trace in /run/mount. Somebody else may be making a namespace just now; then it stays.
        if umount -n /run/netns 2>/dev/null; then rmdir /run/netns 2>/dev/null || true; fi
    fi
    rm -f "$kLabRoot/.made-netns-mount"
    rmdir "$kLabRoot" 2>/dev/null || true
}
