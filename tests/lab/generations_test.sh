#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# 1,000 generations in 60 s under traffic, each with other rows: all adopted, no request fails, memory flat.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

readonly kGenerations=1000
readonly kSeconds=60
lab_begin --backends 4
serve_web 4
load_begin client1 "$kVip" --interval 0.5
load_ask 30 "open 500 1000"
load_send "short 25000 8 500"

# memory HOST PROGRAM : kilobytes resident, and descriptors and mappings besides: a leak of segments shows there first.
memory() {
    local pid
    pid=$(pid_of "$1" "$2")
    jq -n -c --argjson kilobytes "$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")" \
        --argjson descriptors "$(find "/proc/$pid/fd" | wc -l)" --argjson mappings "$(wc -l <"/proc/$pid/maps")" '$ARGS.named'
}

readonly kPaceMicroseconds=$((kSeconds * 1000000 / kGenerations))
started=$(status_of .generation)
begin=$EPOCHREALTIME
push web 4 200 "$kPaceMicroseconds"
dataplane=$(memory lb1 fairlead-dataplane)
control=$(memory lb1 fairleadd)
push web 4 800 "$kPaceMicroseconds"
seconds=$(jq -n "$EPOCHREALTIME - $begin")
dataplane_after=$(memory lb1 fairlead-dataplane)
control_after=$(memory lb1 fairleadd)
pushed=$(($(status_of .generation) - started))
note "$pushed generations in $seconds s"
note "fairlead-dataplane after 200: $dataplane, after 1000: $dataplane_after"
note "fairleadd after 200: $control, after 1000: $control_after"
check "at least $kGenerations generations were made" compare "$pushed" ">=" "$kGenerations"
check "they took at most 10 % longer than $kSeconds s" compare "$seconds" "<=" "$kSeconds * 1.1"
check "the dataplane runs the last" agree
for pair in "fairlead-dataplane|$dataplane|$dataplane_after" "fairleadd|$control|$control_after"; do
    IFS='|' read -r program first last <<<"$pair"
    check "$program's memory is flat" compare "$(field .kilobytes "$last")" "<=" "$(field .kilobytes "$first") * 1.03 + 1024"
    check "$program's descriptors are as many" compare "$(field .descriptors "$last")" "<=" "$(field .descriptors "$first") + 4"
    check "$program's mappings are as many" compare "$(field .mappings "$last")" "<=" "$(field .mappings "$first") + 16"
done
load_receive 60
note "short: $(jq -c '.short | {attempted, answers, failed, failures, longest_gap_ms}' <<<"$load_answer")"
check "no new connection fails" same "$(field .short.failed)" 0
load_ask 10 stop
held_unharmed
finish
