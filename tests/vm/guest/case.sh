# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash source-path=SCRIPTDIR disable=SC2034,SC2154  # main.sh exports root, programs, build and case_name
# What each case begins with: checks that print TAP lines, what they wait with, and all that they share. Sourced first by cases/*.sh.
set -euo pipefail
readonly kRun=/run/vm            # shared with the host: what is to be read afterwards
is_done=no

case_end() {
    local status=$?
    ! declare -F tidy >/dev/null || tidy || true
    [ "$is_done" = yes ] || echo "not ok - vm $case_name: ended early (exit code $status)"
}
trap case_end EXIT
# The last line of each case: without it the case counts as failed.
finish() { is_done=yes; exit 0; }

note() { echo "# $*"; }

check() {                      # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then echo "ok - vm $case_name: $text"
    else echo "not ok - vm $case_name: $text"
    fi
}
same() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; return 1; }; }
quietly() { "$@" >/dev/null 2>&1; }
compare() { jq -e -n "($1) $2 ($3)" >/dev/null || { echo "# $1 $2 $3 does not hold"; return 1; }; }

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# wait_until SECONDS COMMAND... : polls; what it waits for belongs to other programs.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# monitor COMMAND... : tells QEMU's monitor. It answers into the run directory, not here: look at what changes.
monitor() { echo "$*" >/dev/ttyS2; }

# launch LOG COMMAND... : in the background, with its output in the run directory; sets started, its pid.
launch() {
    local log=$kRun/$1.log
    shift
    setsid "$@" </dev/null >>"$log" 2>&1 &
    started=$!
}

guest=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=nics.sh
source "$guest/nics.sh"
# shellcheck source=network.sh
source "$guest/network.sh"
# shellcheck source=balancer.sh
source "$guest/balancer.sh"
# shellcheck source=load.sh
source "$guest/load.sh"
