#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# scripts/host.sh check, hugepages and cores on a machine of two nodes: done once, changes nothing when done again, and goes back to the byte.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kFarNic=${kNicAddress[virtio-rss]} kPages=16

# settings : every value that hugepages and cores may change.
settings() { grep -H '' "$kNodes"/node*/hugepages/*/nr_hugepages /proc/irq/*/smp_affinity /proc/irq/default_smp_affinity /sys/devices/virtual/workqueue/cpumask; }
settings_are() { settings | diff "$1" - | sed 's/^/# /'; [ "${PIPESTATUS[1]}" -eq 0 ]; }
# done_twice_and_undone NAME COMMAND... : what host.sh COMMAND does.
done_twice_and_undone() {
    local name=$1
    shift
    settings >/run/settings-before
    check "$name" host_sh "$@"
    settings >/run/settings-after
    check "$name: it changes something" not cmp -s /run/settings-before /run/settings-after
    check "$name: a second time it is content, and says so" says_nothing_to_do "$@"
    check "$name: and changes nothing" settings_are /run/settings-after
    check "$name: --undo" host_sh "$1" --undo
    check "$name: every value is what it was, to the byte" settings_are /run/settings-before
}
says_nothing_to_do() { [[ $("$root/scripts/host.sh" "$@" --state /run/fairlead-host) == *'nothing to do'* ]]; }

load_drivers
check "the kernel has two nodes, and a NIC on the second" same "$(cat "$kNodes/online" "$kPciDevices/$kFarNic/numa_node" | paste -sd ' ')" "0-1 1"
"$root/scripts/host.sh" check --json --state /run/fairlead-host >"$kRun/check.json" || true
check "check shows the node of the NIC" same "$(jq -r --arg nic "$kFarNic" '.nics[] | select(.address == $nic).node' "$kRun/check.json")" 1
check "check names the IOMMU" quietly jq -e '.checks[] | select(.what == "iommu") | .state == "ok"' "$kRun/check.json"
done_twice_and_undone "hugepages of node 1" hugepages --count "$kPages" --node 1
done_twice_and_undone "cores" cores --workers 1 --nic "$kFarNic"
check "cores: the worker's CPU is of the NIC's node" grep -q -- '--lcores 1 ' "$kRun/host.log"
finish
