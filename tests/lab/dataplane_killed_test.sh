#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# kill -9 of the dataplane and a plain restart: it starts over what it left behind (XDP program, sockets, files), and the
# connections that were open carry on. The gap is reported.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --backends 3
serve_web 3
load_begin client1 "$kVip" --interval 0.2
load_ask 30 "open 500 1000"

for round in 1 2 3; do
    load_ask 10 report
    before=$EPOCHREALTIME
    lab kill lb1 fairlead-dataplane KILL
    check "the XDP program stays when the dataplane is killed ($round)" \
        grep -q 'prog/xdp' <<<"$(lab run lb1 ip link show dev eth0)"
    lab start lb1 fairlead-dataplane
    check "it starts again and gets its generation ($round)" wait_until 10 agree
    note "generation back $(jq -n "($EPOCHREALTIME - $before) * 1000 | round") ms after the kill"
    check "new connections are served ($round)" wait_until 10 vip_answers "$kVip"
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
finish
