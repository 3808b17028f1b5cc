# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Ten times as many SYNs as the connection table has entries, from random sources, who never answer the SYN-ACKs.
title="a SYN flood of ten tables, a backend added meanwhile"
table=$((connections >= 5000 ? 65536 : 8192))
stage=(--backends 9 --dataplane-options "--connections $((table * 17 / 20))") # a table has room for 85 % of its entries for certain
new_rate=100
new_failures_max=1

scenario() {
    local -r rate=20000
    local flood
    serve 8
    # What the servers answer goes nowhere, not even back as an error.
    lab run router ip route add blackhole default
    open_connections
    lab run client1 synflood "$kVip" 80 --count "$((10 * table))" --rate "$rate" >"$(lab directory)/flood" &
    flood=$!
    carry_on "$((10 * table / rate / 2))"
    add be9
    must "the flood is sent" wait "$flood"
    say "a table of $table entries, $(jq '"\(.sent) SYNs, \(.rate | round) a second"' -r "$(lab directory)/flood")"
    at_least "SYNs a second" "$(jq .rate "$(lab directory)/flood")" "$((rate / 2))"
    carry_on 2
}
