#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Performs one scenario in a lab of its own and writes what came of it, one JSON object:
#   perform.sh SCENARIO_FILE CONNECTIONS SECOND_CHANCE(on|off) RESULT_FILE
# Called by scripts/unbroken.sh.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=${FAIRLEAD_PROGRAMS:-$root/build/bin}
scenario_file=$1
connections=$2
second_chance=$3
result_file=$4
scenario_name=$(basename "$scenario_file" .sh)
scenario_name=${scenario_name#[0-9]*-}
lab_name=unbroken-$$
# shellcheck source=../lab/traffic.sh
source "$root/scripts/lab/traffic.sh"
# shellcheck source=stage.sh
source "$root/scripts/unbroken/stage.sh"
# shellcheck source=counters.sh
source "$root/scripts/unbroken/counters.sh"

# What two cores carry beside everything else.
readonly kOpenRate=2000
kAskRate=$((connections / 4 > 1000 ? connections / 4 : 1000))
readonly kAskRate

title=''
stage=()
new_failures_max=0
loses_backend=no
loses_state=no
# shellcheck disable=SC1090
source "$scenario_file"

new_attempted=0
new_failed=0
new_failures='{}'
# keep_new : of the last answer's short connections.
keep_new() {
    new_attempted=$((new_attempted + $(field .short.attempted)))
    new_failed=$((new_failed + $(field .short.failed)))
    new_failures=$(jq -c -n --argjson before "$new_failures" --argjson now "$(field .short.failures)" \
        '[$before, $now] | map(to_entries[]) | group_by(.key) | map({(.[0].key): (map(.value) | add)}) | add // {}')
}

# conclude : asks everybody, the silent ones too, and judges.
conclude() {
    local balancer
    load_ask 60 "trickle end"
    keep_new
    load_ask 120 "ask $kAskRate"
    load_ask 40 "resume 30"
    for balancer in "${alive[@]}"; do count_placements "$balancer" after; done
    count_outcomes after
    load_ask 20 stop
    must "clients wait for a connection: $(field .resumption.waiting)" [ "$(field .resumption.waiting)" -eq 0 ]
    # A scenario in which nothing happened shows nothing.
    if [ "$loses_backend" = yes ]; then
        at_least "connections lost with their backend" "$(field .held.excused)" 1
    else
        at_most "new connections that failed, in percent" "$new_failed * 100 / ([$new_attempted, 1] | max)" "$new_failures_max"
    fi
    if [ "$loses_state$second_chance" = yeson ]; then
        at_least "packets that backends sent on to the next hop" "$(jq .second_chance.sent_on <<<"$(placements)")" 1
    fi
}

# The verdict. Broken connections fail a scenario, unless it shows what second chance is for: then none does.
write_result() {
    local expectation=unbroken
    if [ "$second_chance" = off ]; then
        if [ "$loses_state" = yes ]; then expectation=broken; else expectation=any; fi
    fi
    printf '%s\n' "${problems[@]}" | jq -R -s --arg name "$scenario_name" --arg title "$title" --arg expectation "$expectation" \
        --argjson facts "$(printf '%s\n' "${facts[@]}" | jq -R -s -c 'split("\n") | map(select(. != ""))')" \
        --argjson load "$load_answer" --argjson placements "$(placements)" --argjson seconds "$SECONDS" \
        --argjson new "{\"attempted\": $new_attempted, \"failed\": $new_failed, \"failures\": $new_failures}" \
        --argjson connections "$connections" --arg second_chance "$second_chance" '
        split("\n") | map(select(. != "")) as $problems
        | $load.held as $held
        | {scenario: $name, title: $title, second_chance: ($second_chance == "on"), connections: $connections,
           opened: $held.opened, open: $held.open, broken: $held.broken, failures: $held.failures, examples: $held.examples,
           excused: $held.excused, excuses: $held.excuses, closed: $held.closed, requests: $held.requests,
           longest_gap_ms: $held.recent_gap_ms, $new, resumption: $load.resumption, $placements, $seconds, $facts,
           problems: ($problems + (
               if $expectation == "unbroken" and $held.broken > 0 then ["\($held.broken) connections broke"]
               elif $expectation == "broken" and $held.broken == 0 then ["nothing broke: it proves nothing"]
               else [] end)), $expectation}
        | .passed = (.problems == [])' >"$result_file"
}

# shellcheck disable=SC2317  # called by lab_end
last_word() {
    [ "$1" -eq 0 ] && [ -s "$result_file" ] && return 0
    jq -n --arg scenario "$scenario_name" --arg title "$title" --arg problem "it ended early (exit code $1)" \
        '{$scenario, $title, problems: [$problem], passed: false}' >"$result_file"
    return 1
}

end_on_exit
lab_begin "${stage[@]}"
scenario
conclude
write_result
