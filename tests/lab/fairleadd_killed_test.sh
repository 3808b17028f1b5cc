#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# kill -9 of fairleadd under load: no request fails; after its restart, state and dataplane agree.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --backends 3
serve_web 3
fairlead backend set web 10.20.0.32 --weight 250 >/dev/null
fairlead backend drain web 10.20.0.33 >/dev/null
before=$(fairlead get -o json)
digests=$(status_of '[.services[] | [.name, .rows_digest]] | tojson')
pid=$(pid_of lb1 fairlead-dataplane)

load_begin client1 "$kVip" --interval 0.5
load_ask 30 "open 1000 1000"
load_send "short 16000 16 2000"
sleep 2
lab kill lb1 fairleadd KILL
set +e
lab run lb1 fairlead status >/dev/null 2>&1
code=$?
set -e
check "the CLI says that the daemon is unreachable (exit code 3)" same "$code" 3
sleep 2
lab start lb1 fairleadd
started=$EPOCHREALTIME
check "fairleadd and the dataplane agree after the restart" wait_until 10 agree
note "agreed $(jq -n "($EPOCHREALTIME - $started) * 1000 | round") ms after the start"
load_receive 60
note "short: $(jq -c '.short | {attempted, answers, failed, failures, longest_gap_ms}' <<<"$load_answer")"
check "no new connection fails meanwhile" same "$(field .short.failed)" 0
check "the state is the same" same "$(fairlead get -o json)" "$before"
check "the rows are the same" same "$(status_of '[.services[] | [.name, .rows_digest]] | tojson')" "$digests"
check "the dataplane was left alone" same "$(status_of .dataplane.pid)" "$pid"
fairlead backend drain web 10.20.0.33 --undo >/dev/null
check "changes are taken again" agree
load_ask 10 "hold 2"
load_ask 10 stop
held_unharmed
finish
