# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash source-path=SCRIPTDIR disable=SC2034,SC2154  # main.sh exports root, programs, build and case_name
# What each case begins with: checks that print TAP lines, what they wait with, and all that they share. Sourced first by cases/*.sh.
set -euo pipefail
readonly kRun=/run/vm            # shared with the host: what is to be read afterwards
test_name="vm $case_name"
# shellcheck source=../../tap.sh
source "$root/tests/tap.sh"
# shellcheck source=../../../scripts/wait.sh
source "$root/scripts/wait.sh"

case_end() {
    local status=$?
    ! declare -F tidy >/dev/null || tidy || true
    [ "$is_done" = yes ] || echo "not ok - $test_name: ended early (exit code $status)"
}
trap case_end EXIT
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

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
