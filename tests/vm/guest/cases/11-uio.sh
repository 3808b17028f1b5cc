#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# uio_pci_generic, for machines on which vfio has no IOMMU: Debian's kernel has it and not vfio's own mode without one. This machine's IOMMU
# leaves memory as it is (iommu=pt), which is what uio needs.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kPair=e1000e kHeld=20
readonly kNic=${kNicAddress[$kPair]}
need_network
need_bound "${kPairs[@]}"
end_program dataplane
check "Debian's vfio has no mode without an IOMMU" not test -e /sys/module/vfio/parameters/enable_unsafe_noiommu_mode
host_sh unbind "$kNic"
check "the NIC goes to uio_pci_generic" host_sh bind "$kNic" --driver uio_pci_generic
check "it has it" has_driver "$kNic" uio_pci_generic
values=$(machine_values)
check "a second time it is content" host_sh bind "$kNic" --driver uio_pci_generic
check "and changes nothing" same "$(machine_values)" "$values"
check "the dataplane runs on it" need_balancer 1 "$kPair"
check "the VIP answers" wait_until 15 vip_answers "$kPair"
load_begin "${kVip[$kPair]}"
check "$kHeld connections are opened" load_ask 30 open "$kHeld" 100
check "all are asked again" load_ask 30 ask 200
check "none is broken" same "$(field '[.held.open, .held.failed, .held.broken] | @csv')" "$kHeld,0,0"
load_ask 10 stop
load_end
check "host.sh does not take it away from under the dataplane" not host_sh unbind "$kNic"
end_program dataplane
check "it goes back to its kernel driver" host_sh unbind "$kNic"
check "which has it" has_driver "$kNic" "${kKernelDriver[$kPair]}"
finish
