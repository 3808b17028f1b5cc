#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2317  # main.sh exports names; check calls functions
# A bound NIC is taken out of its slot under traffic, and put in again: the dataplane gives it up, goes on with the others, and takes it again.
# shellcheck source=../case.sh
source "$(dirname "${BASH_SOURCE[0]}")/../case.sh"

readonly kHeld=20 kPair=virtio kOther=vmxnet3
readonly kSlot=$kPciDevices/${kNicAddress[$kPair]}
need_network
need_bound "${kPairs[@]}"
need_balancer 2 "${kPairs[@]}"
# The same virtio NIC as machine.sh has there.
put_in() { monitor "device_add virtio-net-pci,id=nic-$kPair,bus=port-$kPair,netdev=wire-$kPair,mac=${kNicMac[$kPair]},romfile=,iommu_platform=on,disable-legacy=on"; }

use_twin fl2 # the third port's
check "the VIP answers" wait_until 15 vip_answers "$kPair"
allow_for_pace "$kPair"
check "the kernel is reached through the NIC" wait_until 15 kernel_is_reached
check "and reaches others through it" wait_until 15 kernel_reaches
# Until the NIC is bound again, which an emulated shell is slow to do, and TCP tries once more after that.
answer_within=90 load_begin "${kVip[$kPair]}"
load_ask 30 open "$kHeld" 100
monitor "device_del nic-$kPair"
# The slot's button, as Linux has it, waits five seconds for who thinks better of it.
check "the device is given up" wait_until 20 not test -e "$kSlot"
check "the dataplane lives" is_running dataplane
check "it forwards on another NIC" wait_until 10 vip_answers "$kOther"
put_in
check "the device is back in its slot" wait_until 20 test -e "$kSlot"
# An emulated shell is slow to bind it, and has things to do when that is done: the clock starts when the dataplane says that it has the device.
readonly kIsBack="port pci:${kNicAddress[$kPair]}: its device is back and served again"
need_bound "$kPair" &
binding=$!
check "the dataplane takes it again" wait_until 60 logged 1 "$kIsBack"
returns_soon "$kPair" "its device's return" "$(logged_ms "$kIsBack")"
check "it is bound in order" wait "$binding"
check "the twin is the same interface, with its address" same "$(ip -4 -o addr show dev "$twin" | awk '{print $4}')" "$kOwnAddress/24"
check "all connections are asked" load_ask 120 ask 200
check "none broke" same "$(field '[.held.open, .held.broken] | @csv')" "$kHeld,0"
load_ask 10 stop
load_end
said() { grep -cE "port pci:${kNicAddress[$kPair]}: its device $1" "$kRun/dataplane.log"; }
check "its log says so, once each" same "$(said '(is asked for by the kernel|is gone); it is served no more') $(said 'is given back') $(said 'is back and served again')" "1 1 1"
check "it was removed once, and is there again" same "$(port_status "$kPair" '[.removals, .is_present] | @csv')" 1,true
check "the dataplane lives still" is_running dataplane
finish
