# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154  # read by what is sourced after it
# The pairs of NICs (drawn in tests/vm/machine.sh): where they are, and whose driver has the dataplane's. Sourced by case.sh.

readonly kPairs=(e1000e vmxnet3 virtio virtio-rss)
declare -rA kNicAddress=([e1000e]=0000:01:00.0 [vmxnet3]=0000:02:00.0 [virtio]=0000:03:00.0 [virtio-rss]=0000:81:00.0)
declare -rA kNicMac=([e1000e]=52:54:00:00:01:0a [vmxnet3]=52:54:00:00:02:0a [virtio]=52:54:00:00:03:0a [virtio-rss]=52:54:00:00:04:0a)
declare -rA kTwinAddress=([e1000e]=0000:00:11.0 [vmxnet3]=0000:00:12.0 [virtio]=0000:00:13.0 [virtio-rss]=0000:00:14.0)
declare -rA kKernelDriver=([e1000e]=e1000e [vmxnet3]=vmxnet3 [virtio]=virtio-pci [virtio-rss]=virtio-pci)
readonly kHugepages=256
readonly kPciDevices=/sys/bus/pci/devices kNodes=/sys/devices/system/node

# driver_of ADDRESS ; group_of ADDRESS : of its IOMMU.
driver_of() { (cd -P "$kPciDevices/$1/driver" 2>/dev/null && echo "${PWD##*/}") || echo none; }
group_of() { (cd -P "$kPciDevices/$1/iommu_group" && echo "${PWD##*/}"); }

# interface_of ADDRESS : the kernel's interface of a NIC that one of its drivers has.
interface_of() {
    local found
    for found in "$kPciDevices/$1"/net/* "$kPciDevices/$1"/virtio*/net/*; do
        [ -e "$found" ] || continue
        echo "${found##*/}"
        return 0
    done
    return 1
}

has_driver() { [ "$(driver_of "$1")" = "$2" ]; }

# host_sh ARGUMENT... : what it says goes into the run directory.
host_sh() { "$root/scripts/host.sh" "$@" --state /run/fairlead-host >>"$kRun/host.log" 2>&1; }

# machine_values : what binding and hugepages change of the machine.
machine_values() {
    local pair device
    for pair in "${kPairs[@]}"; do
        device=$kPciDevices/${kNicAddress[$pair]}
        echo "$pair: $(driver_of "${kNicAddress[$pair]}") $(<"$device/driver_override") $(interface_of "${kNicAddress[$pair]}" || true)"
    done
    head -n 1 /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages /sys/devices/system/node/node*/hugepages/hugepages-2048kB/nr_hugepages
}

pages_of_node() { echo "$kNodes/node$1/hugepages/hugepages-2048kB/nr_hugepages"; }
# set_pages COUNT... : hugepages of each node.
set_pages() {
    local node
    for node in 0 1; do echo "${@:node+1:1}" >"$(pages_of_node "$node")"; done
}

# keep_machine_values : as they are before the first of the cases changes them, for the last.
keep_machine_values() { [ -e /run/machine-before ] || machine_values >/run/machine-before; }

# need_bound PAIR... : hugepages, and their first NICs, if they are not bound yet.
need_bound() {
    local pair addresses=()
    keep_machine_values
    [ "$(</proc/sys/vm/nr_hugepages)" -ge "$kHugepages" ] || host_sh hugepages --count "$kHugepages"
    for pair in "$@"; do
        has_driver "${kNicAddress[$pair]}" vfio-pci || addresses+=("${kNicAddress[$pair]}")
    done
    [ "${#addresses[@]}" -eq 0 ] || host_sh bind "${addresses[@]}"
}
