#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR/.. disable=SC2154,SC2317
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
check "segments are sealed, published and read" unit unit_publish '*'
check "segments are mapped and adopted" unit unit_io 'Segment*:GenerationStore*:CountersFile*:ControlServer*'
finish
