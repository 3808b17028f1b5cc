#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# The cable of a bound NIC is pulled and put back: the dataplane lives, forwards again within two seconds, and no connection breaks.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kHeld=20 kFlaps=50
need_network
need_bound "${kPairs[@]}"
need_balancer 2 "${kPairs[@]}"

# loses_link PAIR
loses_link() {
    local pair=$1 took began
    check "$pair: the VIP answers" wait_until 15 vip_answers "$pair"
    allow_for_pace "$pair"
    load_begin "${kVip[$pair]}"
    load_ask 30 open "$kHeld" 100
    monitor "set_link nic-$pair off"
    check "$pair: the dataplane says that the link is down" wait_until 5 link_is "$pair" down
    check "$pair: without the link the VIP falls silent" wait_until 3 not soon_answers "$pair"
    sleep 1
    began=$(now_ms)
    monitor "set_link nic-$pair on"
    took=$(since=$began time_until 15 soon_answers "$pair") || true
    check "$pair: forwards again within $soon_ms ms of the link's return (${took:-never} ms)" test "${took:-99999}" -le "$soon_ms"
    check "$pair: all connections are asked" load_ask 60 ask 200
    check "$pair: none broke" same "$(field '[.held.open, .held.broken] | @csv')" "$kHeld,0"
    load_ask 10 stop
    load_end
}

for pair in virtio e1000e vmxnet3; do loses_link "$pair"; done
# Each time waits until the dataplane has seen it: nothing here has to be as fast as the one or the other.
use_twin fl2 # the third port's
check "the kernel is reached through virtio" wait_until 15 kernel_is_reached
allow_for_pace virtio
# The shell's own sleep: emulation makes a process take longer to start than the dataplane to see its link.
exec {never}<> <(:)
sleep() { read -r -t "$1" -u "$never" || true; }
changes_before=$(port_status virtio .link_changes)
for ((flap = 0; flap < kFlaps; ++flap)); do
    monitor "set_link nic-virtio off"
    wait_until 5 link_is virtio down || break
    changed_ms=$(now_ms)
    monitor "set_link nic-virtio on"
    wait_until 5 link_is virtio up || break
done
returns_soon virtio "its last return" "$changed_ms"
check "the link goes off and on $kFlaps times, and the dataplane sees each" same "$flap" "$kFlaps"
check "each is counted" same $(($(port_status virtio .link_changes) - changes_before)) $((2 * kFlaps))
check "the dataplane lives" is_running dataplane
finish
