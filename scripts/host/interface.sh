# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What a NIC's interface was before it went: name, MTU, up or down, bond or bridge, addresses, routes; and putting that back.

# save_interface IFACE DIR
save_interface() {
    local net=$host_root/sys/class/net/$1 family flags
    echo "$1" >"$2/interface"
    read_value "$net/address" >"$2/address"
    read_value "$net/mtu" >"$2/mtu"
    flags=$(read_value "$net/flags")
    if [ $((${flags:-0} & 1)) -eq 1 ]; then echo up; else echo down; fi >"$2/state"
    link_name "$net/master" >"$2/master"
    if ! command -v ip >/dev/null; then return 0; fi
    # Without what comes by itself: link-local and advertised addresses, the routes of addresses.
    ip -o addr show dev "$1" 2>/dev/null | awk '!/scope link| inet6 .* dynamic/ {
        line = $4
        for (i = 5; i < NF; ++i)
            if ($i ~ /^(peer|brd|scope)$/) line = line " " $i " " $(i + 1)
            else if ($i ~ /^(nodad|noprefixroute)$/) line = line " " $i
        print line }' >"$2/addresses" || true
    for family in 4 6; do
        ip "-$family" route show table all dev "$1" 2>/dev/null |
            sed -E '/^(local|broadcast|multicast|anycast) |proto (kernel|ra)|^fe80::|^ff00::/d; s/ (linkdown|dead)\b//g; s/ expires [^ ]+//' >"$2/routes$family" || true
    done
}

# await_interface ADDRESS [NAME] : the driver makes it, then udev names it, which may take a moment.
await_interface() {
    local round found
    for ((round = 0; round < 50; ++round)); do
        found=$(first_interface_of "$1")
        if [ "$found" = "${2:-$found}" ] && [ -n "$found" ]; then break; fi
        sleep 0.1
    done
    first_interface_of "$1"
}

# restore_interface ADDRESS DIR : what does not work is said, and the rest done.
restore_interface() {
    local name now line net attribute value family
    name=$(read_value "$2/interface")
    [ -n "$name" ] || return 0
    now=$(await_interface "$1" "$name")
    if [ -z "$now" ]; then complain "$1: its driver is back but makes no interface; it was $name"; return 0; fi
    if [ "$now" != "$name" ]; then
        { ip link set dev "$now" down && ip link set dev "$now" name "$name"; } 2>&1 | sed "s/^/host: $now: /" >&2 || true
        now=$(first_interface_of "$1")
        [ "$now" = "$name" ] || complain "$1: its interface is $now and was $name: ip link set dev $now name $name"
    fi
    net=$host_root/sys/class/net/$now
    for attribute in mtu address; do
        value=$(read_value "$2/$attribute")
        if [ "$value" = "$(read_value "$net/$attribute")" ]; then continue; fi
        restoring "$now" ip link set dev "$now" "$attribute" "$value"
    done
    if [ -s "$2/master" ]; then restoring "$now" ip link set dev "$now" master "$(read_value "$2/master")"; fi
    if [ "$(read_value "$2/state")" = up ]; then restoring "$now" ip link set dev "$now" up; fi
    while IFS= read -r line; do
        # shellcheck disable=SC2086 # words of ip's
        restoring "$now" ip addr replace $line dev "$now"
    done <"$2/addresses"
    # There are none through an interface that is down.
    [ "$(read_value "$2/state")" = up ] || return 0
    for family in 4 6; do
        while IFS= read -r line; do
            # shellcheck disable=SC2086
            restoring "$now" ip "-$family" route replace $line dev "$now"
        done <"$2/routes$family"
    done
}

# restoring IFACE COMMAND...
restoring() {
    local interface=$1 said
    shift
    said=$("$@" 2>&1) || complain "$interface: ${said:-failed}: $*"
}
