#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# A NIC of the second node: without further words its worker and its memory are there, it forwards, and a restart needs no memory twice.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kPair=virtio-rss kHeld=20
need_network
need_bound "${kPairs[@]}"
end_program dataplane
rm -f /run/dataplane.wanted /dev/hugepages/fairlead-* # inherited tables of other NICs' runs lie where those are
need_balancer 1 "$kPair"
# Where the thread may run that DPDK calls a worker.
worker_cpus() { sed -n 's/^Cpus_allowed_list:\t//p' "$(grep -l worker "/proc/$(cat /run/dataplane.pid)"/task/*/comm | head -n 1 | sed 's/comm$/status/')"; }
check "the worker is on a CPU of the NIC's node" same "$(worker_cpus)" 1
check "the dataplane says so" grep -q 'NUMA node 1' "$kRun/dataplane.log"
# pages_on NODE MAPPING : pages of the process's mappings of that name there.
pages_on() { grep -E "$2" "/proc/$(cat /run/dataplane.pid)/numa_maps" | grep -oE " N$1=[0-9]+" | awk -F= '{ sum += $2 } END { print sum + 0 }'; }
check "its connection tables are there" compare "$(pages_on 1 'file=/dev/hugepages/fairlead')" ">" 0
check "none of them elsewhere" same "$(pages_on 0 'file=/dev/hugepages/fairlead')" 0
# A page of DPDK's own records may be where the main thread is.
check "nearly all of DPDK's memory is there" compare "$(pages_on 1 'huge')" ">" "10 * $(pages_on 0 'huge')"
check "the VIP answers" wait_until 15 vip_answers "$kPair"
allow_for_pace "$kPair"
answer_within=90 load_begin "${kVip[$kPair]}"
check "$kHeld connections are opened" load_ask 30 open "$kHeld" 100

# As many pages as it has and needs, and not one more: the tables that are left are not asked for again.
taken=$(($(cat "$(pages_of_node 1)") - $(cat "$(dirname "$(pages_of_node 1)")/free_hugepages")))
set_pages $((kHugepages / 2)) "$taken"
# Its twin is another interface, which wants its address again. The clock starts when the dataplane says that it forwards: until then the emulated
# machine loads it and DPDK.
readonly kForwards='forwards on 1 port(s)'
starts_before=$(grep -cF "$kForwards" "$kRun/dataplane.log")
use_twin fl0
end_program dataplane KILL
rm -f /run/dataplane.wanted
need_balancer 1 "$kPair" &
starting=$!
check "killed and started again with all pages of the node in use, it forwards" wait_until 60 logged $((starts_before + 1)) "$kForwards"
use_twin fl0
returns_soon "$kPair" "its restart" "$(logged_ms "$kForwards")"
check "it agrees with fairleadd" wait "$starting"
set_pages $((kHugepages / 2)) $((kHugepages / 2))
check "all connections are asked" load_ask 120 ask 200
check "none broke" same "$(field '[.held.open, .held.broken] | @csv')" "$kHeld,0"
load_ask 10 stop
load_end
finish
