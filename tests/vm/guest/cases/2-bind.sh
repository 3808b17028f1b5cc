#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# Hugepages, and a NIC of each kind from its kernel driver to vfio-pci, behind the IOMMU.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

group_of() { basename "$(readlink "$kPciDevices/$1/iommu_group")"; }

check "there are 256 hugepages" same "$(cat /proc/sys/vm/nr_hugepages)" 256
need_network
for pair in "${kPairs[@]}"; do
    check "$pair: the kernel has its NIC first" same "$(driver_of "${kNicAddress[$pair]}")" "${kKernelDriver[$pair]}"
done
need_bound "${kPairs[@]}"
for pair in "${kPairs[@]}"; do
    address=${kNicAddress[$pair]}
    check "$pair: bound to vfio-pci" same "$(driver_of "$address")" vfio-pci
    check "$pair: its IOMMU group has a device in /dev/vfio" test -c "/dev/vfio/$(group_of "$address")"
done
finish
