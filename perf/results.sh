#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Measures what the plots show and README.md quotes, anew, into perf/results/; then draws it. Takes some five minutes; leave
# the machine alone meanwhile.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../scripts/packages.sh
source "$root/scripts/packages.sh"
results=$root/perf/results
directory=$root/build-perf
mkdir -p "$results"

measure() { "$root/perf/mpps.sh" --no-build --json "$@" >>"$results/mpps.jsonl.new"; }

rm -f "$results/mpps.jsonl.new"
install_packages build perf
"$root/scripts/build.sh" --no-install --cpu native --directory "$directory" perf/mpps/mpps perf/bench/bench_steps perf/instructions/count_path
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
if [ "$(nproc)" -ge 2 ]; then measure --flows 100000 --workers 2; fi
mv "$results/mpps.jsonl.new" "$results/mpps.jsonl"

# What the plot needs, and nothing of where and when it was measured but the CPU.
"$directory/perf/bench/bench_steps" --benchmark_repetitions=5 --benchmark_report_aggregates_only=true --benchmark_format=json \
    --benchmark_context="cpu=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" |
    jq 'del(.context.executable, .context.host_name, .context.load_avg)' >"$results/steps.json.new"
mv "$results/steps.json.new" "$results/steps.json"
"$root/perf/instructions/count" --program "$directory/perf/instructions/count_path" --json "$results/instructions.json"
"$root/perf/plot"
