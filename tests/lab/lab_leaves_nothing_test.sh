#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2317  # functions that check calls
# The lab itself: what it makes, it takes away, whichever way it ends.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

# traces : everything that a lab of this test may leave, by its name; other labs may come and go meanwhile.
traces() {
    ip netns list | grep -F "$lab_name" || true
    grep -F "$lab_name" /proc/mounts || true
    find /run /tmp /dev/shm -maxdepth 2 -name "*$lab_name*" 2>/dev/null
    # This script's own command line does not hold the name; what a lab starts holds it in its files' paths.
    ps -eo pid=,stat=,args= | awk '$2 !~ /^Z/' | grep -F "$lab_name" | grep -vE 'grep -F|lab.sh (up|down)' || true
}
nothing_left() { same "$(traces)" ""; }
gone() { [ -z "$(traces)" ]; }
other() { "$root/scripts/lab.sh" "$1" --name "$lab_name-b" "${@:2}"; }

lab up --programs none --backends 2 >/dev/null
other up --programs none --backends 2 --clients 2 >/dev/null
check "two labs run side by side" \
    same "$(lab run client1 curl -s http://10.20.0.31/x) $(other run client2 curl -s http://10.20.0.32/x)" "be1 /x be2 /x"
check "a name is taken once" eval '! lab up --programs none >/dev/null 2>&1'
check "status is good while all live" quietly lab status
lab run be1 sleep 1000 >/dev/null 2>&1 &
lab kill be2 nginx
check "status tells a dead program" eval '! lab status >/dev/null'
lab down >/dev/null
check "the other goes on" same "$(other run client1 curl -s http://10.20.0.31/x)" "be1 /x"
other down >/dev/null
check "down leaves nothing" nothing_left

check "a missing program is named" \
    grep -q 'no program .*fairlead-dataplane' <<<"$(lab up --programs "$root/scripts" 2>&1)"
check "a missing program leaves nothing" nothing_left
broken=$(mktemp -d)
for program in fairlead-dataplane fairleadd fairlead fairlead-backend; do ln -s "$(command -v false)" "$broken/$program"; done
# shellcheck disable=SC2016  # for eval
check "programs that fail fail the lab" eval '! lab up --programs "$broken" >/dev/null 2>&1'
check "programs that fail leave nothing" nothing_left
ln -sf "$(command -v true)" "$broken/fairlead-backend"
# shellcheck disable=SC2016  # for eval
check "balancers that fail fail the lab" eval '! lab up --programs "$broken" >/dev/null 2>&1'
check "balancers that fail leave nothing" nothing_left
rm -r "$broken"

# Not through `lab`: the signal would end a subshell around the script.
for moment in 0.05 0.2 0.4 0.6; do
    "$root/scripts/lab.sh" up --name "$lab_name" --programs none >/dev/null 2>&1 &
    sleep "$moment"
    kill -TERM "$!" 2>/dev/null || true      # it may be up already
    wait "$!" || true
    lab down >/dev/null
    check "up, ended after $moment s, leaves nothing" nothing_left
    "$root/scripts/lab.sh" up --name "$lab_name" --programs none >/dev/null 2>&1 &
    sleep "$moment"
    lab down >/dev/null
    wait "$!" || true
    # Before its claim `up` is not known to `down`, and comes up after it.
    lab down >/dev/null
    check "down after $moment s of up leaves nothing" nothing_left
done

bash -c '"$1" up --name "$2" --programs none --owner $$ >/dev/null; kill -KILL $$' owner "$root/scripts/lab.sh" "$lab_name" || true
check "a lab ends when its owner is killed" wait_until 10 gone

lab_begin --backends 2
serve_web 2
lab kill lb1 fairlead-dataplane KILL
lab down >/dev/null
check "a lab with a killed dataplane leaves nothing" nothing_left
finish
