#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Measures anew what the plots show and README.md quotes; then draws it. All of it, or the results stay as they were.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../scripts/packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=compare/cpu.sh
source "$root/perf/compare/cpu.sh"

usage() {
    cat <<'END_OF_USAGE'
usage: perf/results.sh [--output DIR] [--no-build]
  --output DIR   where the results and plots go, in the place of those that are there (perf/results)
  --no-build     measure what build-perf/ holds
Takes some five minutes; leave the machine alone meanwhile.
END_OF_USAGE
}
refuse() { echo "results: $*" >&2; usage >&2; exit 2; }

output=$root/perf/results
directory=$root/build-perf
build=yes
while [ $# -gt 0 ]; do
    case $1 in
        --output) output=${2:-}; [ -n "$output" ] || refuse "--output takes a directory"; shift 2 ;;
        --no-build) build=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) refuse "unknown argument $(printf %q "$1")" ;;
    esac
done
# Before five minutes are spent.
if ! mkdir -p "$output" 2>/dev/null || [ ! -w "$output" ]; then echo "results: $output is no directory that can be written to" >&2; exit 73; fi

readonly kBusyPercentMax=20 # of one CPU, as perf/mpps has it
programs=(perf/mpps/mpps perf/bench/bench_steps perf/instructions/count_path)
new=$(mktemp -d)
running=''

# run COMMAND... : in a process group of its own, which ends when this does.
set -m
run() {
    "$@" </dev/null &
    running=$!
    wait "$running"
    running=''
}
# shellcheck disable=SC2317  # called by the trap
finish() {
    trap '' INT TERM HUP
    if [ -n "$running" ]; then
        kill -TERM -- "-$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    rm -rf "$new"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ "$build" = yes ]; then
    run install_packages build perf
    run "$root/scripts/build.sh" --no-install --cpu native --directory "$directory" "${programs[@]}"
fi
for program in "${programs[@]}"; do
    [ -x "$directory/$program" ] || { echo "results: $directory/$program is not there: run without --no-build" >&2; exit 78; }
done

before=$(busy_ticks)
run sleep 1
busy=$((($(busy_ticks) - before) * 100 / kTicksPerSecond))
[ "$busy" -le "$kBusyPercentMax" ] || echo "results: the machine is busy: $busy % of one CPU, before anything is measured" >&2

measure() { run "$root/perf/mpps.sh" --no-build --json "$@" >>"$new/mpps.jsonl"; }
for headers in warm cold; do
    for flows in 1 1000 100000 1000000 10000000; do measure --flows "$flows" --headers "$headers"; done
done
for size in 128 256 512 1024 1518; do measure --flows 1000000 --size "$size"; done
measure --flows 1000000 --imix
measure --flows 1000 --forwarding ipip
measure --flows 10000000 --new-flows 100
measure --flows 10000000 --new-flows 10
for flows in 1000 100000 1000000; do measure --flows "$flows" --services 1000 --backends 10000; done
measure --flows 100000 --updates-per-second 100 --seconds 6
if [ "$(nproc)" -ge 2 ]; then for flows in 1000 100000; do measure --flows "$flows" --workers 2; done; fi

# What the plot needs, and nothing of where and when it was measured but the CPU.
run "$directory/perf/bench/bench_steps" --benchmark_repetitions=5 --benchmark_report_aggregates_only=true --benchmark_format=json \
    --benchmark_context="cpu=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" >"$new/steps.raw"
jq 'del(.context.executable, .context.host_name, .context.load_avg)' "$new/steps.raw" >"$new/steps.json"
rm "$new/steps.raw"
run "$root/perf/instructions/count" --program "$directory/perf/instructions/count_path" --json "$new/instructions.json"
run "$root/perf/plot" --results "$new" >/dev/null

jq -rs --argjson most "$kBusyPercentMax" 'map(select(.foreign_percent > $most)) | select(length > 0) |
    "results: \(length) runs were measured beside others, up to \(map(.foreign_percent) | max | round) % of one CPU: measure again when the machine is idle"' \
    "$new/mpps.jsonl" >&2
mv "$new"/* "$output/"
(cd "$output" && ls -- *.json *.jsonl *.svg)
