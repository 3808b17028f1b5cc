#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Measures the dataplane's packet path in Mpps on one core, without a NIC: builds the meter for this CPU, lends it hugepages,
# runs it, and gives the hugepages back. One at a time on a machine.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../scripts/packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=mpps/hugepages.sh
source "$root/perf/mpps/hugepages.sh"

usage() {
    cat <<'END'
usage: perf/mpps.sh [--cpu LEVEL] [--no-build] [--no-hugepages] [OPTION...]
  --cpu LEVEL      -march of what is measured: native (default), x86-64-v3, x86-64-v2
  --no-build       measure what build-perf/ holds
  --no-hugepages   take none but those that are free
  OPTION...        the meter's own:

END
    if [ -x "$directory/perf/mpps/mpps" ]; then "$directory/perf/mpps/mpps" --help; else echo "  (listed once it is built)"; fi
}

refuse() { echo "mpps: $*" >&2; exit 64; }

directory=$root/build-perf
readonly kLevels='native, x86-64-v3 or x86-64-v2'
cpu=native build=yes hugepages=yes help=no
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --cpu)
            case ${2:-} in
                native | x86-64-v[23]) cpu=$2; shift 2 ;;
                '' | -*) refuse "--cpu takes a level: $kLevels" ;;
                *) refuse "--cpu takes $kLevels, not $(printf %q "$2")" ;;
            esac
            ;;
        --no-build) build=no; shift ;;
        --no-hugepages) hugepages=no; shift ;;
        -h | --help) help=yes; shift ;;
        *) arguments+=("$1"); shift ;;
    esac
done
if [ "$help" = yes ]; then usage; exit 0; fi

# Two at once measure each other, and whoever gives back what another has lent meanwhile leaves pages behind: so before all else,
# the build included. A meter whose script was killed holds it on (9 is its, too).
lock=/run/lock/fairlead-mpps
# Another user's can be read, not written.
{ exec 9>>"$lock"; } 2>/dev/null || { exec 9<"$lock"; } 2>/dev/null || { echo "mpps: $lock can neither be written nor read" >&2; exit 78; }
flock --nonblock 9 || { echo "mpps: another measurement runs on this machine: wait until it has ended" >&2; exit 78; }

if [ "$build" = yes ]; then
    # What is built goes to standard error: with --json standard output is one object.
    install_packages build >&2 9>&-
    "$root/scripts/build.sh" --no-install --cpu "$cpu" --directory "$directory" perf/mpps/mpps >&2 9>&-
fi
meter=$directory/perf/mpps/mpps
[ -x "$meter" ] || { echo "mpps: $meter is not there: run without --no-build" >&2; exit 78; }

# The meter knows what it takes, and refuses here what it cannot do: nothing is lent then.
needed=$("$meter" --hugepages-needed "${arguments[@]}")

# Signals go on to the meter at once; bash would look at them when it has ended. What was lent goes back whatever ends this.
running=''
# shellcheck disable=SC2317  # called by the trap
finish() {
    trap '' INT TERM HUP
    if [ -n "$running" ]; then
        kill -TERM "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    give_back_hugepages
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
give_back_hugepages # a killed run's
[ "$hugepages" = no ] || lend_hugepages "$needed"

commit=$(git -C "$root" describe --always --dirty 2>/dev/null || true)
FAIRLEAD_COMMIT=${commit:-unknown} "$meter" "${arguments[@]}" &
running=$!
status=0
wait "$running" || status=$?
running=''
exit "$status"
