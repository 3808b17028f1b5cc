# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154  # read by the cases
# Real TCP connections from the guest's client (tests/lab/unbroken), which says of each whether it broke. Sourced by case.sh.

# load_begin VIP [OPTION]... : starts it; a connection is broken whose answer takes more than $answer_within seconds (20).
# load_ask SECONDS COMMAND... : puts its answer, a JSON object, into load_answer.
load_begin() {
    local vip=$1
    shift
    coproc LOAD { exec ip netns exec client "$programs/unbroken" "$vip" --interval 0.5 --timeout "${answer_within:-20}" "$@" 2>>"$kRun/unbroken.log"; }
    # shellcheck disable=SC2153  # coproc sets it
    load_pid=$LOAD_PID
    exec {load_input}>&"${LOAD[1]}" {load_output}<&"${LOAD[0]}"
}
load_send() { echo "$*" >&"$load_input"; }
load_receive() {
    read -r -t "$1" -u "$load_output" load_answer || { note "unbroken did not answer within $1 s"; return 1; }
    [[ $load_answer != *'"error"'* ]] || { note "unbroken: $load_answer"; return 1; }
}
load_ask() {
    local patience=$1
    shift
    load_send "$@"
    load_receive "$patience"
}
load_end() {
    exec {load_input}>&- {load_output}<&-
    kill -KILL "$load_pid" 2>/dev/null || true
    wait "$load_pid" 2>/dev/null || true
}
field() { jq -r "$1" <<<"$load_answer"; }

# counted_since BEFORE : what the counters of `fairlead stats` have risen by; each of these is a variable of the caller's. By worker: of the
# connections that were opened and of the packets that were forwarded, the numbers, and which share the worker with the fewest has; then how many
# packets met a worker that did not know their connection; and what the dataplane lost, by reason.
counted_since() {
    { read -r by_worker; read -r opened_share; read -r forwarded_share; read -r by_hops; read -r lost; } < <(
        jq -nr --argjson before "$1" --argjson after "$(counters)" '
            [range($after.workers | length) as $i | $after.workers[$i] | with_entries(.value -= $before.workers[$i][.key])]
            | (map([.connections_opened, .forwarded_packets]) | tojson),
              (map(.connections_opened) | min / ([add, 1] | max)), (map(.forwarded_packets) | min / ([add, 1] | max)), (map(.by_hops) | add),
              ([$after.drops | to_entries[] | (.value - ($before.drops[.key] // 0)) as $lost | select($lost > 0) | "\(.key) \($lost)"] | join(", "))')
}
counters() {
    stats '{workers: [.workers[] | {forwarded_packets, connections_opened, by_hops}], drops: ([.drops[] | {(.reason): .packets}] | add // {})}'
}
