#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# Every NIC back to its kernel driver, and the kernel's own traffic through it.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

need_network
need_bound "${kPairs[@]}"
end_program dataplane
check "the dataplane has ended" not is_running dataplane
check "host.sh unbind puts all NICs back" host_sh unbind --all
check "host.sh hugepages --undo gives the hugepages back" host_sh hugepages --undo
check "every value that was changed is what it was before" same "$(machine_values)" "$(</run/machine-before)"
check "host.sh unbind a second time changes nothing" host_sh unbind --all
check "nor did it change a value" same "$(machine_values)" "$(</run/machine-before)"

# carries PAIR : as the kernel's NIC in a namespace of its own it reaches a web server by TCP.
carries() {
    local pair=$1 interface
    interface=$(interface_of "${kNicAddress[$pair]}")
    check "$pair: its interface has its own MAC address again" same "$(<"/sys/class/net/$interface/address")" "${kNicMac[$pair]}"
    ip netns add "own-$pair"
    ip link set "$interface" netns "own-$pair"
    ip -n "own-$pair" -batch - <<END
addr add 10.0.0.$2/24 dev $interface
link set $interface up
END
    # e1000e takes seconds until it has its link.
    check "$pair: carries TCP for the kernel" wait_until 20 host "own-$pair" curl -s -o /dev/null --fail --max-time 1 http://10.0.0.31/
}
number=201
for pair in "${kPairs[@]}"; do
    check "$pair: back with its kernel driver" same "$(driver_of "${kNicAddress[$pair]}")" "${kKernelDriver[$pair]}"
    carries "$pair" "$number"
    number=$((number + 1))
done
finish
