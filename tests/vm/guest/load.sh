# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
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
