#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# kill -9 of the dataplane and a plain restart: it starts over what it left behind (XDP program, sockets), adopts its connections
# and its last generation, and forwards before a control plane has said a word. The gap is reported.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --backends 3
serve_web 3
load_begin client1 "$kVip" --interval 0.2
load_ask 30 "open 500 1000"

for round in 1 2 3; do
    load_ask 10 report
    before=$EPOCHREALTIME
    lab kill lb1 fairleadd KILL
    lab kill lb1 fairlead-dataplane KILL
    check "the XDP program stays when the dataplane is killed ($round)" \
        grep -q 'prog/xdp' <<<"$(lab run lb1 ip link show dev eth0)"
    lab start lb1 fairlead-dataplane
    check "new connections are served without a control plane ($round)" wait_until 10 vip_answers "$kVip"
    note "served $(jq -n "($EPOCHREALTIME - $before) * 1000 | round") ms after the kill"
    lab start lb1 fairleadd
    check "the control plane goes on from the generation that runs ($round)" wait_until 10 agree
    check "the connections are adopted ($round)" compare "$(stats '[.workers[].connections_adopted] | add')" '>=' 500
    check "established connections go by their entries ($round)" \
        compare "$(stats '[.workers[].by_connection] | add')" '>' "$(stats '[.workers[] | .by_row + .by_hops] | add')"
    load_ask 20 "hold 4"
    load_ask 10 report
    note "longest gap of a held connection: $(field .held.recent_gap_ms) ms"
done
load_ask 10 stop
held_unharmed
load_abandon

lab kill lb1 fairlead-dataplane TERM
check "ended by TERM it takes its XDP program with it" \
    same "$(lab run lb1 ip link show dev eth0 | grep -c 'prog/xdp' || true)" 0
check "ended by TERM it leaves no socket" [ ! -e "$(lab directory lb1)/run/dataplane.sock" ]
check "ended by TERM it leaves its last generation" [ -e "$(lab directory lb1)/run/generation/current" ]
finish
