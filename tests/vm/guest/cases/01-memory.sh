#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# The sealed memory files on this kernel: it refuses mappings that newer ones allow.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

# unit PROGRAM FILTER : a program of unit tests that was built for the host, as it is.
unit() {
    local log=$kRun/$1.log
    FAIRLEAD_DATAPLANE=$programs/fairlead-dataplane timeout 120 "$build"/tests/unit/*/"$1" --gtest_filter="$2" --gtest_brief=1 >"$log" 2>&1 || {
        grep -E '^\[  FAILED|Failure|rror' "$log" | head -n 10 | sed 's/^/# /'
        return 1
    }
    note "$1: $(grep -E '^\[  PASSED' "$log")"
}
note "kernel $(uname -r)"
check "segments are sealed, published and read" unit unit_publish 'SealedSegment*:Publisher*:Counters*:StopDataplane*Lock*-*SlowDataplane*:*HoldsNobodyUp*'
check "segments are mapped and adopted" unit unit_io 'Segment*:GenerationStore*:CountersFile*:ControlServer*'

tidy() { end_program dataplane; end_program fairleadd; rm -rf "$kState" "$kRuntime"; }
start_fairleadd web=198.51.100.10
start_dataplane --port null --hugepages off
check "the dataplane adopts fairleadd's first generation" wait_until 20 agree
fairlead backend add web 10.0.0.34 >/dev/null 2>&1
check "it adopts a change of the rows" agree
end_program dataplane KILL
start_dataplane --port null --hugepages off
check "killed and started again, it agrees" wait_until 20 agree
check "it ran its own copy of the generation first" grep -q 'from the copy on disk' "$kRun/dataplane.log"
finish
