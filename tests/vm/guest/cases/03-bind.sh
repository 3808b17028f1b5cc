#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# scripts/host.sh on a kernel that has an IOMMU: hugepages, and a NIC of each kind from its kernel driver to vfio-pci.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"
# shellcheck source=../refusal.sh
source "$guest/refusal.sh"

readonly kLifeline=${kNicAddress[virtio]}
routes() { ip -4 route show default; }

load_drivers
for pair in "${kPairs[@]}"; do
    check "$pair: the kernel has its NIC first" wait_until 10 has_driver "${kNicAddress[$pair]}" "${kKernelDriver[$pair]}"
done

# As on a kernel without the module, such as Debian's cloud image.
mount -t tmpfs none /usr/lib/modules
refused_host "vfio missing" 'vfio-pci is missing: .*not found.*install Debian.s linux-image' bind "${kNicAddress[e1000e]}"
umount /usr/lib/modules
refused_dataplane "a NIC that the kernel has" 'needs a driver such as vfio-pci, has the kernel.s e1000e; scripts/host.sh bind' --port "pci:${kNicAddress[e1000e]}"

# One of them carries the way out.
interface=$(interface_of "$kLifeline")
ip addr add 192.0.2.2/24 dev "$interface"
ip link set "$interface" up
ip route add default via 192.0.2.1
routes_before=$(routes)
check "the NIC of the default route is not bound" not host_sh bind "$kLifeline"
check "it stays the kernel's" has_driver "$kLifeline" virtio-pci
keep_machine_values
host_sh hugepages --count "$kHugepages"
check "told twice, it is bound" host_sh bind "$kLifeline" --really --really --confirm-within 10
check "it has vfio-pci for the moment" has_driver "$kLifeline" vfio-pci
start_dataplane --port "pci:$kLifeline" --workers 1 --forget
check "a dataplane takes it" wait_until 8 grep -qs 'forwards on 1 port' "$kRun/dataplane.log"
check "unconfirmed, it goes back from under the dataplane" wait_until 30 has_driver "$kLifeline" virtio-pci
check "which has ended" not is_running dataplane
has_routes_again() { [ "$(routes)" = "$routes_before" ]; }
check "with its default route" wait_until 10 has_routes_again
ip addr flush dev "$interface"
ip link set "$interface" down

# fairlead-host.service has no more than this when it binds at boot.
host_sh_at_boot() {
    local capabilities
    capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$root/scripts/systemd/fairlead-host.service" | sed 's/CAP_/+/g; s/ /,/g')
    setpriv --no-new-privs --bounding-set "-all,${capabilities,,}" "$root/scripts/host.sh" "$@" --state /run/fairlead-host >>"$kRun/host.log" 2>&1
}
for pair in "${kPairs[@]}"; do
    check "$pair: bound with the capabilities of fairlead-host.service" host_sh_at_boot bind "${kNicAddress[$pair]}"
done

need_bound "${kPairs[@]}"
check "there are $kHugepages hugepages" same "$(cat /proc/sys/vm/nr_hugepages)" "$kHugepages"
for pair in "${kPairs[@]}"; do
    address=${kNicAddress[$pair]}
    check "$pair: bound to vfio-pci" has_driver "$address" vfio-pci
    check "$pair: its IOMMU group has a device in /dev/vfio" test -c "/dev/vfio/$(group_of "$address")"
done
values=$(machine_values)
check "host.sh bind a second time is content" host_sh bind "${kNicAddress[@]}"
check "and changes nothing" same "$(machine_values)" "$values"
finish
