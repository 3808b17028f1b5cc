# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What each lab test begins with: its lab's name, and checks that print TAP lines ("ok - ...", "not ok - ..."), which
# scripts/test.sh counts. Lines with '#' say what was measured. Sourced first by tests/lab/*_test.sh.
#
# FAIRLEAD_PROGRAMS names the directory of the built programs (build/bin).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
programs=${FAIRLEAD_PROGRAMS:-$root/build/bin}
test_name=$(basename "$0" _test.sh)
lab_name=t-${test_name:0:8}-$$
lab_name=${lab_name//_/-}
# shellcheck source=../../scripts/lab/traffic.sh
source "$root/scripts/lab/traffic.sh"

readonly kVip=198.51.100.10
# shellcheck source=../tap.sh
source "$root/tests/tap.sh"

if [ "$(id -u)" -ne 0 ]; then
    echo "ok - $test_name # SKIP needs root: it makes network namespaces"
    exit 0
fi

# shellcheck disable=SC2317  # called by lab_end
last_word() {
    if [ "$is_done" != yes ]; then
        echo "not ok - $test_name ended early (exit code $1)"
        return 1
    fi
    return $((failed_checks > 0 ? 1 : 0))
}
end_on_exit

# stats FILTER : of `fairlead stats`.
stats() { fairlead stats -o json | jq -r "$1"; }
status_of() { fairlead status -o json | jq -r "$1"; }

# agree : the dataplane runs what fairleadd wants.
agree() { [ "$(status_of '.dataplane.is_connected and .generation == .dataplane.generation and .generation > 0')" = true ]; }

# pid_of HOST PROGRAM
pid_of() { cut -d' ' -f1 "$(lab directory "$1")/$2.pid"; }

# serve_web COUNT : a service on kVip:80 over the first COUNT backends, and waits until it answers.
serve_web() {
    local number
    fairlead service add web --vip "$kVip" --port 80 --protocol tcp >/dev/null
    for number in $(seq 1 "$1"); do
        fairlead backend add web "10.20.0.$((30 + number))" >/dev/null
    done
    wait_until 10 vip_answers "$kVip" || { echo "# the VIP does not answer"; return 1; }
}

# push SERVICE BACKENDS COUNT MICROSECONDS : COUNT generations by the CLI, one each so many microseconds or as fast as it
# goes: weights of the service's first BACKENDS backends change.
push() {
    # shellcheck disable=SC2016
    lab run lb1 bash -euc '
        started=${EPOCHREALTIME/[.,]/}
        for ((i = 1; i <= $3; ++i)); do
            fairlead backend set "$1" "10.20.0.$((31 + i % $2))" --weight "$((100 + i % 50))" >/dev/null
            late=$((started + i * $4 - ${EPOCHREALTIME/[.,]/}))
            if [ "$late" -gt 0 ]; then sleep "$(printf "%d.%06d" $((late / 1000000)) $((late % 1000000)))"; fi
        done' push "$@"
}

# held_unharmed : checks the last report's held connections.
held_unharmed() {
    note "held: $(jq -c '.held | {opened, open, requests, failed, broken, failures, longest_gap_ms}' <<<"$load_answer")"
    check "no request on a held connection fails" same "$(field .held.failed)" 0
    check "no held connection breaks" same "$(field .held.broken)" 0
}
