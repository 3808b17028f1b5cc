#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Does it break connections? Holds thousands of real TCP connections open through a balancer while backends come and go and
# balancers restart and die, each scenario in a lab of its own, and prints what became of them. Exit code 1 if a scenario
# breaks what it must not, or (--no-second-chance) proves nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packages.sh
source "$root/scripts/packages.sh"

connections=10000
parallel=1
wanted=()
second_chance=on
json=''
build=yes
tap=no

usage() {
    cat <<'END_OF_USAGE'
usage: scripts/unbroken.sh [--connections N] [--scenario NAME|all]... [--no-second-chance] [--json FILE]
                           [--parallel N] [--tap] [--no-build]
  --connections N       held open through each scenario (10000), at least 100
  --scenario NAME|all   which (all); repeat for more. `--scenario list` prints their names
  --no-second-chance    with the service's second_chance off: those that lose state while rows change must break some
  --json FILE           writes everything that was counted
  --parallel N          scenarios at a time (1); more are sooner done, and gaps longer
  --tap                 prints TAP lines instead of the table
  --no-build            uses the programs in build/bin (or FAIRLEAD_PROGRAMS) as they are
END_OF_USAGE
}
refuse() { echo "unbroken: $*" >&2; usage >&2; exit 2; }

scenario_files() { find "$root/scripts/unbroken/scenarios" -name '*.sh' | sort; }
name_of() { basename "$1" .sh | sed 's/^[0-9]*-//'; }

while [ $# -gt 0 ]; do
    case $1 in
        --connections | --scenario | --json | --parallel) [ $# -ge 2 ] || refuse "$1 takes a value" ;;&
        --connections) connections=$2; shift 2 ;;
        --scenario) wanted+=("$2"); shift 2 ;;
        --no-second-chance) second_chance=off; shift ;;
        --json) json=$2; shift 2 ;;
        --parallel) parallel=$2; shift 2 ;;
        --tap) tap=yes; shift ;;
        --no-build) build=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) refuse "unknown argument '$1'" ;;
    esac
done
if ! [[ $connections =~ ^[0-9]{1,7}$ ]] || [ "$connections" -lt 100 ]; then
    refuse "--connections takes a number from 100, not '$connections'"
fi
[[ $parallel =~ ^[1-9][0-9]?$ ]] || refuse "--parallel takes a number from 1 to 99, not '$parallel'"
files=()
[ "${#wanted[@]}" -gt 0 ] || wanted=(all)
for name in "${wanted[@]}"; do
    case $name in
        all) mapfile -t files < <(scenario_files) ;;
        list) scenario_files | while read -r file; do name_of "$file"; done; exit 0 ;;
        *)
            file=$(scenario_files | grep -xE ".*/[0-9]+-$name\.sh") || refuse "no scenario '$name'; --scenario list prints them"
            files+=("$file")
            ;;
    esac
done
[ "$(id -u)" -eq 0 ] || { echo "unbroken: needs root: it makes network namespaces" >&2; exit 1; }
if [ "$build" = yes ]; then
    install_packages run
    "$root/scripts/build.sh" >&2
fi

results=$(mktemp -d)
performers=()
# Each takes its lab down when it is told to end, or its lab's guard does when it is not even told.
end_performers() {
    local pid
    trap '' INT TERM HUP
    for pid in "${performers[@]}"; do
        if [[ $'\n'$(jobs -pr)$'\n' == *$'\n'"$pid"$'\n'* ]]; then kill -TERM "$pid" 2>/dev/null || true; fi
    done
    wait
    rm -rf "$results"
}
trap end_performers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

readonly kRow='%-57s %6s %6s %7s %9s %10s %9s %9s %8s %7s  %s\n'
print_head() {
    echo "$connections connections, one in ten silent; second chance: $second_chance"
    # shellcheck disable=SC2059
    printf "$kRow" scenario opened broken excused gap/ms connection row row+hops 'sent on' new verdict
}

# print_row RESULT : the table's line, and below it what is wrong.
print_row() {
    local cells
    mapfile -t cells < <(jq -r '
        def verdict: if .passed | not then "FAIL" elif .expectation == "broken" then "PASS: breaks without"
                     elif .expectation == "any" and .broken > 0 then "breaks without" else "PASS" end;
        .title, .opened // "-", .broken // "-", .excused // "-", (.longest_gap_ms // 0 | round),
        (.placements | .connection // "-", .row // "-", .hops // "-", .second_chance.sent_on // "-"),
        (if .new then "\(.new.failed)/\(.new.attempted)" else "-" end), verdict' "$1")
    # shellcheck disable=SC2059
    printf "$kRow" "${cells[@]}"
    jq -r '(.facts // [] | .[] | "    \(.)"), (.problems[] | "    not as it must be: \(.)"), (.examples // [] | .[:3][] | "    \(.)")' "$1"
}

print_tap() {
    jq -r '(if .passed then "ok" else "not ok" end) + " - unbroken: \(.title)"
             + (if .expectation == "broken" then ", breaks without second chance" else "" end),
           (.problems[], (.facts // [])[] | "# \(.)"),
           "# \({opened, broken, excused, longest_gap_ms, new, placements, examples, seconds} | tojson)"' "$1"
}

result_of() { echo "$results/$(basename "$1" .sh).json"; }

# perform INDEX : begins that scenario, if there is one.
perform() {
    [ "$1" -lt "${#files[@]}" ] || return 0
    local result
    result=$(result_of "${files[$1]}")
    "$root/scripts/unbroken/perform.sh" "${files[$1]}" "$connections" "$second_chance" "$result" >"$result.log" &
    performers[$1]=$!
}

failed=0
[ "$tap" = yes ] || print_head
for ((index = 0; index < parallel; ++index)); do perform "$index"; done
for index in "${!files[@]}"; do
    wait "${performers[index]}" || true
    perform "$((index + parallel))"
    result=$(result_of "${files[index]}")
    # Nothing was written: it was killed.
    [ -s "$result" ] || jq -n --arg title "$(name_of "${files[index]}")" \
        '{$title, problems: ["it left no result"], passed: false}' >"$result"
    if [ "$tap" = yes ]; then print_tap "$result"; else print_row "$result"; fi
    jq -e .passed "$result" >/dev/null || failed=$((failed + 1))
done
if [ -n "$json" ]; then jq -s . "$results"/*.json >"$json"; fi
[ "$tap" = yes ] || echo "unbroken: $((${#files[@]} - failed)) of ${#files[@]} scenarios as they must be, in $((SECONDS / 60)) min $((SECONDS % 60)) s"
[ "$failed" -eq 0 ]
