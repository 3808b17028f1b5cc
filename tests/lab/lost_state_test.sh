#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# What an operator must not be told after state was lost: that a drained backend is empty while its connections, whose entries
# are gone, still live there; and what a dataplane that is killed right after a change must not do: give up the new backend's.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --backends 3
serve_web 2
load_begin client1 "$kVip" --interval 0.2
load_ask 30 "open 100 500"

fairlead backend drain web 10.20.0.32 >/dev/null
lab kill lb1 fairlead-dataplane KILL
lab forget lb1
lab start lb1 fairlead-dataplane
check "the dataplane is back, its table lost" wait_until 10 agree
load_ask 20 "hold 2"
load_ask 10 report
held_unharmed
note "unsure: $(fairlead backend list web -o json | jq -c 'map({address, connections, unsure})')"
check "a drain does not call a backend empty that may have connections" \
    eval '! fairlead backend drain web 10.20.0.32 --wait --deadline 2s >/dev/null 2>&1'
check "nor is it removed" eval '! fairlead backend remove web 10.20.0.32 >/dev/null 2>&1'
load_ask 10 stop
held_unharmed
load_abandon

load_begin client1 "$kVip" --interval 0.2
fairlead backend set web 10.20.0.31 --weight 50 >/dev/null
fairlead backend add web 10.20.0.33 >/dev/null
load_ask 30 "open 100 2000"
lab kill lb1 fairlead-dataplane KILL
lab start lb1 fairlead-dataplane
check "the dataplane is back, killed right after a change" wait_until 10 agree
load_ask 20 "hold 2"
load_ask 10 stop
check "the new backend has connections" compare "$(field '.held.backends.be3 // 0')" '>' 0
held_unharmed
load_abandon
finish
