# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# fairleadd and fairlead-dataplane in the guest, and the load through them. Sourced by case.sh.

readonly kRuntime=/run/fairlead kState=/run/fairlead-state
fairlead() { FAIRLEAD_SOCKET=$kRuntime/fairleadd.sock "$programs/fairlead" "$@"; }

# is_running PROGRAM ; end_program PROGRAM [SIGNAL] : by the pid that was noted when it was started, and waits until it is gone.
is_running() { [ -e "/run/$1.pid" ] && kill -0 "$(<"/run/$1.pid")" 2>/dev/null; }
end_program() {
    ! is_running "$1" || kill "-${2:-TERM}" "$(<"/run/$1.pid")"
    wait_until 10 not is_running "$1"
}
not() { ! "$@"; }

start_dataplane() {            # start_dataplane OPTION...
    launch dataplane "$programs/fairlead-dataplane" --idle backoff --runtime-dir "$kRuntime" --connections 65536 "$@"
    echo "$started" >/run/dataplane.pid
}

# start_fairleadd NAME=VIP... : with these services, over the first three backends each.
start_fairleadd() {
    local service number
    mkdir -p "$kState"
    {
        printf '%s\n' balancer: '  source_address: 10.0.0.11' '  seed: 00112233445566778899aabbccddeeff' services:
        for service in "$@"; do
            printf '  - {name: %s, vip: %s, port: 80, protocol: tcp, backends: [' "${service%=*}" "${service#*=}"
            for number in 1 2 3; do printf '{address: 10.0.0.%d}, ' $((30 + number)); done
            echo ']}'
        done
    } >/run/fairlead.yaml
    launch fairleadd "$programs/fairleadd" --config /run/fairlead.yaml --state-dir "$kState" --runtime-dir "$kRuntime" --group root
    echo "$started" >/run/fairleadd.pid
}

stats() { fairlead stats -o json | jq -r "$1"; }
status_of() { fairlead status -o json | jq -r "$1"; }

# agree : the dataplane runs what fairleadd wants.
agree() { [ "$(status_of '.dataplane.is_connected and .generation == .dataplane.generation and .generation > 0')" = true ]; }

# port_status PAIR FILTER : what the dataplane says of the pair's NIC.
port_status() { status_of ".dataplane.ports[] | select(.name == \"pci:${kNicAddress[$1]}\") | $2"; }

# link_is PAIR down|up : by what the dataplane said last of it. Reads on in the log where it was, without a process: it is asked hundreds of times.
declare -A link_said=()
link_is() {
    local line
    [ -n "${read_log:-}" ] || exec {read_log}<"$kRun/dataplane.log"
    while read -r -u "$read_log" line; do
        if [[ $line =~ port\ pci:([^ ]+):\ its\ link\ is\ (down|up) ]]; then link_said[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}; fi
    done
    [ "${link_said[${kNicAddress[$1]}]:-}" = "$2" ]
}

# complaints PROGRAM : of its log, what went wrong.
complaints() { tail -n "${2:-5}" "$kRun/$1.log" | sed 's/^/# /'; }

# need_balancer WORKERS PAIR... [-- OPTION...] : a dataplane on these NICs, and a service for each pair there is.
need_balancer() {
    local workers=$1 pair wanted="$*" ports=() services=() pairs=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do pairs+=("$1"); shift; done
    [ $# -eq 0 ] || shift
    if is_running dataplane && [ -e /run/dataplane.wanted ] && [ "$(</run/dataplane.wanted)" = "$wanted" ]; then return 0; fi
    end_program dataplane
    for pair in "${pairs[@]}"; do ports+=(--port "pci:${kNicAddress[$pair]}"); done
    for pair in "${kPairs[@]}"; do services+=("$pair=${kVip[$pair]}"); done
    is_running fairleadd || start_fairleadd "${services[@]}"
    start_dataplane "${ports[@]}" --workers "$workers" --hugepages on "$@"
    if ! wait_until 30 agree; then
        note "the dataplane does not agree with fairleadd:"
        complaints dataplane
        return 1
    fi
    echo "$wanted" >/run/dataplane.wanted
}

# The kernel's own way through a NIC, as SSH and BGP have it: the twin of the port. use_twin TWIN : gives it an address, and the client one to
# talk to. Each twin answers for itself alone.
readonly kOwnAddress=10.9.0.1 kNeighbour=10.9.0.2
use_twin() {
    twin=$1
    sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
    ip addr replace "$kOwnAddress/24" dev "$twin"
    ip -n client addr replace "$kNeighbour/24" dev eth0
    ip -n client neigh flush to "$kOwnAddress" dev eth0 # another NIC may have had it
}
# From outside, and from here: answered sooner than a neighbour is asked for again.
kernel_is_reached() { quietly nsenter --net=/run/netns/client ping -n -q -c 1 -W "$soon_s" "$kOwnAddress"; }
kernel_reaches() { quietly ping -n -q -c 1 -W "$soon_s" -I "$twin" "$kNeighbour"; }

# logged COUNT WORDS : whether the dataplane's log has them that often. logged_ms WORDS : when it last said them.
logged() { [ "$(grep -cF -- "$2" "$kRun/dataplane.log")" -ge "$1" ]; }
logged_ms() {
    local line
    line=$(grep -F -- "$1" "$kRun/dataplane.log" | tail -n 1)
    date -d "${line%% *}" +%s%3N
}

# returns_soon PAIR WHAT SINCE : within 2 s (allow_for_pace) of what was at SINCE, in ms, VIP traffic and the kernel's own go by the NIC, all
# looked for at once.
returns_soon() {
    # shellcheck disable=SC2034  # time_until's
    local since=$3
    local took way pids=()
    time_until 20 kernel_is_reached >/run/reached &
    pids+=("$!")
    time_until 20 kernel_reaches >/run/reaches &
    pids+=("$!")
    time_until 20 soon_answers "$1" >/run/answers || true
    wait "${pids[@]}" || true
    for way in answers:forwards reached:"the kernel is reached" reaches:"the kernel reaches others"; do
        took=$(cat "/run/${way%%:*}")
        check "$1: ${way#*:} within $soon_ms ms of $2 (${took:-never} ms)" test "${took:-99999}" -le "$soon_ms"
    done
}
