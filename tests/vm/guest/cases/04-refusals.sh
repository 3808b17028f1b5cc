#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# What the machine lacks is said in one line with need and have, exit code 78, at once, and nothing is left behind; with one page more it runs.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"
# shellcheck source=../refusal.sh
source "$guest/refusal.sh"

readonly kNic=${kNicAddress[e1000e]} kFarNic=${kNicAddress[virtio-rss]}
# starts OPTION... : the program comes to forward.
forwards_now() { grep -q 'forwards on 1 port' "$kRun/dataplane.log"; }
starts() {
    local status=0
    : >"$kRun/dataplane.log"
    start_dataplane "$@" --forget --log-level debug
    wait_until 30 forwards_now || status=1
    [ "$status" -eq 0 ] || complaints dataplane
    end_program dataplane
    starts_dpdk "$kRun/dataplane.log" || status=1 # who looks for that in a refusal would see it
    return "$status"
}
# pages_needed OPTION... : by the program's own word, where there are none.
pages_needed() {
    { "$programs/fairlead-dataplane" --idle backoff --runtime-dir "${refused_runtime:-$kRefusedRuntime}" --connections "${connections:-65536}" "$@" 2>&1 || true; } |
        sed -nE 's/.*\(([0-9]+) pages of 2 MB.*/\1/p'
}

need_network
end_program dataplane
need_bound "${kPairs[@]}"
refused_dataplane "a NIC that is not there" 'no such PCI device' --port pci:0000:7f:00.0
refused_dataplane "a core that does not exist" 'no CPU 7 here; this process may use 0,1' --port "pci:$kNic" --lcores 7
refused_dataplane "a NIC on the wrong NUMA node" 'NUMA node 1: they need workers on its CPUs 1; --lcores has 0' --port "pci:$kFarNic" --lcores 0
mv /dev/vfio/vfio /dev/vfio/away
refused_dataplane "vfio missing" 'needs /dev/vfio/vfio, which is missing; modprobe vfio-pci' --port "pci:$kNic"
mv /dev/vfio/away /dev/vfio/vfio
refused_host "host.sh: a core that does not exist" 'there is no CPU 7, those online are 0-1' cores --cpus 7
refused_host "host.sh: more hugepages than memory" 'needs 9[0-9.]+ GB more, [0-9.]+ [GM]B are free' hugepages --memory 1000G

set_pages 0 0
pages=$(pages_needed --port "pci:$kNic" --workers 1)
set_pages $((pages - 1)) 0
refused_dataplane "hugepages one short" "$pages pages of 2 MB, $((pages - 1)) are free" --port "pci:$kNic" --workers 1
set_pages "$pages" 0
check "with one page more it starts" starts --port "pci:$kNic" --workers 1
set_pages 4 0
pages=$(pages_needed --port "pci:$kFarNic" --lcores 1)
set_pages 4 $((pages - 1))
refused_dataplane "hugepages one short on the NIC's node" "on NUMA node 1, .*$pages pages of 2 MB, $((pages - 1)) are free.*host.sh hugepages --node 1 --memory $((pages * 2))M," --port "pci:$kFarNic" --lcores 1
set_pages 4 "$pages"
check "with one page more on the node it starts" starts --port "pci:$kFarNic" --lcores 1
set_pages $((kHugepages / 2)) $((kHugepages / 2))

# What a run leaves counts for the next one that will take just that, and for no other.
: >"$kRun/dataplane.log"
start_dataplane --port "pci:$kNic" --workers 1
check "a run leaves connection tables" wait_until 30 forwards_now
end_program dataplane
set_pages 0 0
# pages_more OPTION... : than with what is left.
pages_more() { echo $(($(pages_needed "$@") - $(refused_runtime=$kRuntime pages_needed "$@"))); }
check "the next run needs no pages for them" compare "$(pages_more --port "pci:$kNic" --workers 1)" ">" 0
check "one with twice the connections needs all of its own" same "$(connections=131072 pages_more --port "pci:$kNic" --workers 1)" 0
check "one with two workers needs all of its own" same "$(pages_more --port "pci:$kNic" --lcores 0,1 --numa any)" 0
check "one on a NIC of the other node needs all of its own" same "$(pages_more --port "pci:$kFarNic" --lcores 1)" 0
rm -f /dev/hugepages/fairlead-*
set_pages $((kHugepages / 2)) $((kHugepages / 2))

check "a dataplane runs on all NICs" need_balancer 2 "${kPairs[@]}"
refused_runtime=$kRuntime refused_dataplane "a second instance" "in use by process $(cat /run/dataplane.pid)" --port "pci:$kNic"
refused_dataplane "another dataplane on a NIC that one has" 'which another process has; is another dataplane running on it' --port "pci:$kNic"
check "the first runs on" agree
finish
