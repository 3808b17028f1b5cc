# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How packets were placed, by the programs' own counters: before (from a scenario's beginning) and after (at its end, or
# before the program that counts is killed) are lists of JSON objects, and the difference of their sums is what happened.
# Sourced by scripts/unbroken/perform.sh.

declare -A tallies=([before]='' [after]='')

# count_placements BALANCER before|after : what chose the backends of forwarded packets.
count_placements() {
    tallies[$2]+=$(balancer=$1 fairlead stats -o json | jq -c '
        [.workers[] | {connection: .by_connection, row: .by_row, hops: .by_hops, resets: .resets_sent,
                       unrecorded: .connections_unrecorded}]
        + [.drops[] | {("drop_" + .reason): .packets}]
        | map(to_entries[]) | group_by(.key) | map({(.[0].key): (map(.value) | add)}) | add // {}')$'\n'
}

# count_outcomes before|after : what became of packets at the backends, all asked at a time.
count_outcomes() {
    local host
    tallies[$1]+=$(
        for host in $(lab_backends); do
            lab run "$host" fairlead-backend status --interface eth0 -o json |
                jq -c '.outcomes | with_entries({key: ("backend_" + .key), value: .value.packets})' &
        done
        wait
    )$'\n'
}

lab_backends() { find "$(lab directory)" -maxdepth 1 -name 'be[0-9]*' -printf '%f\n' | sort -V; }

# placements : JSON; the backends' second chances in three words: asked (packets that carried hops), sent_on (to the next
# hop), found (delivered where their connection is).
placements() {
    jq -n -c --slurpfile before <(echo "${tallies[before]}") --slurpfile after <(echo "${tallies[after]}") '
        def sum: map(to_entries[]) | group_by(.key) | map({(.[0].key): (map(.value) | add)}) | add // {};
        ($before | sum) as $b | ($after | sum | with_entries(.value -= ($b[.key] // 0))) as $d
        | def of($words): [$words[] as $word | $d["backend_" + $word] // 0] | add;
        {connection: ($d.connection // 0), row: ($d.row // 0), hops: ($d.hops // 0), resets: ($d.resets // 0),
         second_chance: {sent_on: of(["next_hop", "next_hop_kernel"]),
                         found: of(["delivered_connection", "delivered_request", "delivered_time_wait", "delivered_cookie"]),
                         last: of(["delivered_last"])},
         unrecorded: ($d.unrecorded // 0),
         drops: ($d | with_entries(select(.key | startswith("drop_")) | .key |= ltrimstr("drop_")) | with_entries(select(.value != 0))),
         backends: ($d | with_entries(select(.key | startswith("backend_")) | .key |= ltrimstr("backend_")) | with_entries(select(.value != 0)))}'
}
