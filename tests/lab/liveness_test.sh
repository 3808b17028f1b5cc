#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2317  # functions that check calls
# Two balancers: the router drops one within 1 s of its death, and the connections it carried go on through the other.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --balancers 2 --backends 3
for balancer in lb1 lb2; do serve_web 3; done
balancer=lb1
digest() { fairlead status -o json | jq -r '.services[0].rows_digest'; }
check "both balancers have the same rows" same "$(balancer=lb1 digest)" "$(balancer=lb2 digest)"

next_hops() {
    lab run router ip -json route show 198.51.100.0/24 |
        jq -r '[.[0] | .nexthops[]?.gateway, .gateway // empty] | sort | join(" ")'
}
routed_to() { [ "$(next_hops)" = "$1" ]; }
check "the router knows both" routed_to "10.20.0.11 10.20.0.12"
load_begin client1 "$kVip" --interval 0.2
load_ask 30 "open 500 1000"
shares() { balancer=$1 stats '[.workers[].received_packets] | add'; }
note "packets received: lb1 $(shares lb1), lb2 $(shares lb2)"
check "lb1 takes part" compare "$(shares lb1)" ">" 100
check "lb2 takes part" compare "$(shares lb2)" ">" 100

# time_until_dropped COMMAND... : milliseconds from the beginning of the command until lb1 is no next hop any more, as the router has logged it, by
# the clock that it logs: what this script needs to see it does not count.
time_until_dropped() {
    local began
    began=$(python3 -c 'import time; print(time.monotonic())')
    "$@" >/dev/null
    wait_until 5 has_dropped "$began" && routed_to "10.20.0.12" || { echo 5000; return; }
    has_dropped "$began"
}
# has_dropped SINCE : prints how long after that the router logged it.
has_dropped() {
    awk -v began="$1" '$2 == "lb1" && $3 == "down:" { at = $1 } END { printf "%d\n", (at - began) * 1000; exit at < began }' "$(lab directory router)/liveness.log"
}
gone=$(time_until_dropped lab kill lb1 fairlead-dataplane KILL)
note "dropped $gone ms after its dataplane was killed"
check "a killed dataplane is no next hop within 1 s" compare "$gone" "<=" 1000
load_ask 60 "short 2000 16"
check "new connections are served by the other" same "$(field .short.failed)" 0
lab start lb1 fairlead-dataplane
check "it is a next hop again after its restart" wait_until 10 routed_to "10.20.0.11 10.20.0.12"

gone=$(time_until_dropped lab cut lb1)
note "dropped $gone ms after its link was cut"
check "a cut link is no next hop within 1 s" compare "$gone" "<=" 1000
load_ask 10 "hold 3"
load_ask 10 stop
held_unharmed
finish
