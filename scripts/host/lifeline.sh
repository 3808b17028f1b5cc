# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Does anything that an operator holds on to go through a NIC: a default route, an SSH session? Through the interface itself, or
# through a bond, bridge or VLAN above it.

# with_uppers IFACE... : these and all that stand on them.
with_uppers() {
    local interface upper seen=' ' queue=("$@")
    while [ "${#queue[@]}" -gt 0 ]; do
        interface=${queue[0]}
        queue=("${queue[@]:1}")
        [[ $seen != *" $interface "* ]] || continue
        seen+="$interface "
        for upper in "$host_root/sys/class/net/$interface/"upper_*; do
            if [ -L "$upper" ]; then queue+=("${upper##*/upper_}"); fi
        done
    done
    # shellcheck disable=SC2086 # one a line
    printf '%s\n' $seen
}

# devices_in : of lines of ip's, what stands after "dev", each once.
devices_in() { awk '{ for (i = 1; i < NF; ++i) if ($i == "dev" && !seen[$(i + 1)]++) print $(i + 1) }'; }

# Of every table, since a management VRF has one of its own.
default_route_interfaces() {
    ip -o "-$1" route show table all default 2>/dev/null | grep -vE '^(unreachable|blackhole|prohibit|throw) ' | devices_in || true
}

# ssh_sessions : "local address, peer's address" of each. sudo takes SSH_CONNECTION away, and a terminal multiplexer keeps an old one;
# so the ancestors of this process are asked as well, and then every connection to the port of the SSH server.
ssh_sessions() {
    local pid=$$ parent variable key value connection ports=22 port
    local -a found=("${SSH_CONNECTION:-}")
    while [ "$pid" -gt 1 ]; do
        while IFS= read -r -d '' variable; do
            if [[ $variable == SSH_CONNECTION=* ]]; then found+=("${variable#*=}"); fi
        done 2>/dev/null <"/proc/$pid/environ" || true
        parent=0
        while read -r key value; do
            if [ "$key" = PPid: ]; then parent=$value; fi
        done 2>/dev/null <"/proc/$pid/status" || true
        pid=$parent
    done
    for connection in "${found[@]}"; do
        # client, its port, our address, our port
        [[ $connection =~ ^([^ ]+)\ [0-9]+\ ([^ ]+)\ ([0-9]+)$ ]] || continue
        echo "${BASH_REMATCH[2]} ${BASH_REMATCH[1]}"
        ports+=" ${BASH_REMATCH[3]}"
    done
    for port in $ports; do
        { ss -Htn state established "( sport = :$port )" 2>/dev/null || true; } |
            awk '{ gsub(/\[|\]/, ""); sub(/:[0-9]+$/, "", $3); sub(/:[0-9]+$/, "", $4); print $3, $4 }'
    done
}

# The interface that has the address, and the one that leads to the peer: they differ where the address is on lo.
session_interfaces() {
    local local_address peer
    ssh_sessions | sort -u | while read -r local_address peer; do
        if [[ $local_address == *%* ]]; then echo "${local_address#*%}"; continue; fi
        ip -o addr show to "${local_address#::ffff:}" 2>/dev/null | awk '{ print $2 }'
        ip -o route get "${peer#::ffff:}" from "${local_address#::ffff:}" 2>/dev/null | devices_in
    done | awk -F @ '$1 != "lo" && !seen[$1]++ { print $1 }'
}

# look_for_lifelines : once, into `lifelines`: an interface and what it carries.
lifelines=()
lifelines_known=no
look_for_lifelines() {
    local family interface
    [ "$lifelines_known" = no ] || return 0
    command -v ip >/dev/null || lack "ip is not there, so that nobody can tell which interface carries the default route: apt install iproute2"
    mapfile -t lifelines < <(
        for family in 4 6; do
            for interface in $(default_route_interfaces $family); do echo "$interface the IPv$family default route"; done
        done
        for interface in $(session_interfaces); do echo "$interface an SSH session"; done
    )
    lifelines_known=yes
}

# lifelines_of ADDRESS : one line for each thing that would be cut. After look_for_lifelines.
lifelines_of() {
    local -a interfaces
    local above cut
    mapfile -t interfaces < <(interfaces_of "$1")
    if [ "${#interfaces[@]}" -eq 0 ] || [ "${#lifelines[@]}" -eq 0 ]; then return 0; fi
    for above in $(with_uppers "${interfaces[@]}"); do
        for cut in "${lifelines[@]}"; do
            [ "${cut%% *}" = "$above" ] || continue
            if [[ " ${interfaces[*]} " == *" $above "* ]]; then echo "${cut#* }"; else echo "${cut#* } (through $above above it)"; fi
        done
    done | sort -u
}
