#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Fairlead beside what one would otherwise run, in one session on one machine: the framework's floor (DPDK's testpmd, io and
# macswap) beside Fairlead's packet path (perf/mpps.sh), and HAProxy and nginx as TCP proxies beside Fairlead in the lab.
# Rounds are interleaved, figures are medians over the rounds. The machine is left as it was.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=${FAIRLEAD_PROGRAMS:-$root/build/bin}
lab_name=compare-$$
# shellcheck source=../scripts/packages.sh
source "$root/scripts/packages.sh"

readonly kParts=(testpmd mpps lab)
seconds=10
rounds=5
json=''
build=yes
parts=()

usage() {
    cat <<'END'
usage: perf/compare.sh [--seconds N] [--rounds N] [--only testpmd|mpps|lab]... [--json FILE] [--no-build]
  --seconds N    of each measurement (10)
  --rounds N     of all contenders in turn; the table has medians (5)
  --only PART    testpmd: DPDK's testpmd; mpps: Fairlead's packet path, by perf/mpps.sh; lab: HAProxy, nginx and Fairlead in
                 front of nginx backends; repeat for more (all)
  --json FILE    writes the medians and each round's figures
  --no-build     uses the programs in build/bin (or FAIRLEAD_PROGRAMS), and the meter in build-perf/, as they are
END
}

die() { echo "compare: $*" >&2; exit 1; }
refuse() { echo "compare: $*" >&2; usage >&2; exit 2; }
say() { echo "compare: round $round of $rounds: $*" >&2; }
wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }
record() { echo "$1" >>"$work/rounds.jsonl"; }      # one JSON object a measurement

while [ $# -gt 0 ]; do
    case $1 in
        --seconds | --rounds | --json | --only) [ $# -ge 2 ] || refuse "$1 takes a value" ;;&
        --seconds) seconds=$2; shift 2 ;;
        --rounds) rounds=$2; shift 2 ;;
        --json) json=$2; shift 2 ;;
        --only)
            [[ " ${kParts[*]} " == *" $2 "* ]] || refuse "--only takes one of ${kParts[*]}, not '$2'"
            parts+=("$2")
            shift 2
            ;;
        --no-build) build=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) refuse "unknown argument '$1'" ;;
    esac
done
[ "${#parts[@]}" -gt 0 ] || parts=("${kParts[@]}")
[[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || refuse "--seconds takes a number from 1 to 9999, not '$seconds'"
[[ $rounds =~ ^[1-9][0-9]?$ ]] || refuse "--rounds takes a number from 1 to 99, not '$rounds'"
[ "$(id -u)" -eq 0 ] || die "needs root: it makes network namespaces and installs what is missing"

# shellcheck source=../scripts/lab/traffic.sh
source "$root/scripts/lab/traffic.sh"
# shellcheck source=compare/cpu.sh
source "$root/perf/compare/cpu.sh"
# shellcheck source=compare/testpmd.sh
source "$root/perf/compare/testpmd.sh"
# shellcheck source=compare/contenders.sh
source "$root/perf/compare/contenders.sh"
# shellcheck source=compare/load.sh
source "$root/perf/compare/load.sh"
# shellcheck source=compare/report.sh
source "$root/perf/compare/report.sh"

# The last of the first nine CPUs that this may use is the balancer's; on two cores clients, router and backends share one.
mapfile -t other_cpus < <(allowed_cpus | head -9)
[ "${#other_cpus[@]}" -ge 2 ] || die "needs two CPUs, one of them for the balancer alone"
balancer_cpu=${other_cpus[-1]}
unset 'other_cpus[-1]'
all_cpus=$(IFS=,; echo "${other_cpus[*]},$balancer_cpu")
taskset -cp "$(IFS=,; echo "${other_cpus[*]}")" $$ >/dev/null
load_threads=$((${#other_cpus[@]} < 4 ? ${#other_cpus[@]} : 4))

work=$(mktemp -d)
# nginx's and HAProxy's files are in it, and they may run as somebody else.
chmod 755 "$work"
# shellcheck disable=SC2317  # called by lab_end
last_word() {
    testpmd_abandon
    rm -rf "$work"
    return "$1"
}
end_on_exit

install_packages run perf >&2 || die "a package is missing and could not be installed"
for program in dpdk-testpmd wrk haproxy nginx jq chrt taskset; do
    command -v "$program" >/dev/null || die "$program is missing; scripts/packages.sh run perf installs it"
done
# Once, ahead of all rounds: a compiler between them would be somebody else on the machine.
meter=perf/mpps/mpps
if [ "$build" = yes ]; then
    "$root/scripts/build.sh" >&2
    if wants mpps; then "$root/scripts/build.sh" --no-install --cpu native --directory "$root/build-perf" "$meter" >&2; fi
fi
if wants mpps && [ ! -x "$root/build-perf/$meter" ]; then die "build-perf/$meter is not there: run without --no-build"; fi

# mpps_round SECONDS : the established packet's path at 1,000 flows.
mpps_round() {
    local result
    foreign_begin
    result=$(taskset -c "$all_cpus" "$root/perf/mpps.sh" --no-build --seconds "$1" --flows 1000 --json) || die "perf/mpps.sh failed"
    record "$(jq -c --argjson foreign "$(foreign_percent)" '{part: "mpps", contender: "fairlead"} + . + {foreign_percent: $foreign}' \
        <<<"$result")"
    say "fairlead: $(jq '.ns_per_packet * 100 | round / 100' <<<"$result") ns a packet"
}

for ((round = 1; round <= rounds; ++round)); do
    if wants testpmd; then testpmd_round "$seconds"; fi
    if wants mpps; then mpps_round "$seconds"; fi
    if wants lab; then lab_round "$seconds"; fi
done
summarise >"$work/summary.json"
if [ -n "$json" ]; then cp "$work/summary.json" "$json"; fi
print_report "$work/summary.json"
