#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Measures the dataplane's packet path in Mpps on one core, without a NIC: builds the meter for this CPU, lends it hugepages,
# runs it, and gives the hugepages back.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../scripts/packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=mpps/hugepages.sh
source "$root/perf/mpps/hugepages.sh"

usage() {
    cat <<'END'
usage: perf/mpps.sh [--cpu LEVEL] [--no-build] [--no-hugepages] [OPTION...]
  --cpu LEVEL      -march of what is measured: native (default), x86-64-v3
  --no-build       measure what build-perf/ holds
  --no-hugepages   take none but those that are free
  OPTION...        the meter's own:

END
    if [ -x "$directory/perf/mpps/mpps" ]; then "$directory/perf/mpps/mpps" --help; else echo "  (listed once it is built)"; fi
}

directory=$root/build-perf
cpu=native build=yes hugepages=yes help=no
arguments=()
workers=1 table=16777216
while [ $# -gt 0 ]; do
    case $1 in
        --cpu) cpu=${2:?--cpu wants a level}; shift 2 ;;
        --no-build) build=no; shift ;;
        --no-hugepages) hugepages=no; shift ;;
        -h | --help) help=yes; shift ;;
        --workers) workers=${2:-}; arguments+=("$1" "${2:-}"); shift; shift || true ;;
        --table) table=${2:-}; arguments+=("$1" "${2:-}"); shift; shift || true ;;
        --workers=*) workers=${1#*=}; arguments+=("$1"); shift ;;
        --table=*) table=${1#*=}; arguments+=("$1"); shift ;;
        *) arguments+=("$1"); shift ;;
    esac
done
if [ "$help" = yes ]; then usage; exit 0; fi

if [ "$build" = yes ]; then
    # What is built goes to standard error: with --json standard output is one object.
    install_packages build >&2
    "$root/scripts/build.sh" --no-install --cpu "$cpu" --directory "$directory" perf/mpps/mpps >&2
fi
meter=$directory/perf/mpps/mpps
[ -x "$meter" ] || { echo "mpps: $meter is not there: run without --no-build" >&2; exit 78; }

# Hugepages of 2 MB that are lent for the time of the measurement; where the kernel has fewer to give, the meter says so.
pages=/proc/sys/vm/nr_hugepages
lend_hugepages() {
    [[ $workers =~ ^[0-9]+$ && $table =~ ^[0-9]+$ && -w $pages ]] || return 0
    # A table of 16 bytes an entry a worker, 128 MB of packet buffers at the most, and DPDK's own records.
    local needed=$((10#$workers * (10#$table * 16 / 2097152 + 64) + 32))
    [ -n "$(hugepages_wanted "$needed")" ] || return 0
    # Who gives back what another has lent meanwhile leaves pages behind; and two measurements at once measure each other.
    exec 9>/run/lock/fairlead-mpps
    flock --nonblock 9 || { echo "mpps: another measurement runs; wait for it, or say --no-hugepages" >&2; exit 78; }
    local wanted
    wanted=$(hugepages_wanted "$needed")
    [ -n "$wanted" ] || return 0
    before=$(cat "$pages")
    trap give_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    echo "$wanted" 2>/dev/null >"$pages" || true
}
give_back() { echo "$before" 2>/dev/null >"$pages" || true; }
[ "$hugepages" = no ] || lend_hugepages

commit=$(git -C "$root" describe --always --dirty 2>/dev/null || true)
FAIRLEAD_COMMIT=${commit:-unknown} "$meter" "${arguments[@]}"
