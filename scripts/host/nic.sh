# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# PCI devices and the interfaces on them, as sysfs tells it.

pci=$host_root/sys/bus/pci
kAddress='[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]'
# DPDK drives these beside their kernel driver, over verbs; bound to vfio-pci they are of no use to it.
kBifurcatedDrivers=' mlx4_core mlx5_core mana '

# link_name PATH : the last name of the directory that the link leads to; nothing if there is none. Without a program: there are hundreds of them.
link_name() { (cd -P -- "$1" && echo "${PWD##*/}") 2>/dev/null || true; }
driver_of() { link_name "$pci/devices/$1/driver"; }
class_of() { read_value "$pci/devices/$1/class"; }
is_nic() { [[ $(class_of "$1") == 0x02* ]]; }
node_of() {
    local node
    node=$(read_value "$pci/devices/$1/numa_node")
    if [ "${node:--1}" -lt 0 ]; then node=0; fi
    echo "$node"
}
all_nics() {
    local device class
    for device in "$pci/devices/"*; do
        { read -r class <"$device/class"; } 2>/dev/null || continue
        if [[ $class == 0x02* ]]; then echo "${device##*/}"; fi
    done
}

# interfaces_of ADDRESS : those of a virtio NIC are a level further down.
interfaces_of() {
    local device interface
    device=$pci/devices/$1
    for interface in "$device/net/"* "$device/"virtio*/net/*; do
        if [ -e "$interface" ]; then echo "${interface##*/}"; fi
    done
}

first_interface_of() {
    local interface
    interface=$(interfaces_of "$1")
    echo "${interface%%$'\n'*}"
}

# address_of_interface IFACE : nothing if it is not on PCI. Of the bridges and the device on its path, the last.
address_of_interface() {
    local path
    path=$(readlink -f "$host_root/sys/class/net/$1/device" 2>/dev/null) || return 0
    tr / '\n' <<<"$path" | grep -xE "$kAddress" | tail -n 1 || true
}

interface_kind() {
    local net=$host_root/sys/class/net/$1 type
    type=$(sed -n 's/^DEVTYPE=//p' "$net/uevent" 2>/dev/null)
    if [ -n "$type" ]; then echo "$type"
    elif [ -d "$net/bridge" ]; then echo bridge
    elif [ -d "$net/bonding" ]; then echo bond
    elif [ -e "$net/tun_flags" ]; then echo tun
    else echo virtual
    fi
}

# resolve_nic WORD : sets `address`, of a PCI network device; ends the script if there is none.
address=''
resolve_nic() {
    local word=${1,,} class
    if [[ $word =~ ^($kAddress)$ ]]; then
        address=$word
    elif [[ 0000:$word =~ ^($kAddress)$ ]]; then
        address=0000:$word
    else
        resolve_interface "$1"
    fi
    [ -e "$pci/devices/$address" ] || lack "$1: no PCI device at $pci/devices/$address; those that are NICs: $(list_nics)"
    class=$(class_of "$address")
    is_nic "$address" || lack "$1: the PCI device $address is no NIC (class $class$(kind_of_class "$class")), a NIC has 0x02....; those that are NICs: $(list_nics)"
}

resolve_interface() {
    [[ $1 =~ ^[^/[:space:]]{1,15}$ ]] || refuse "'$1' is neither a PCI address (0000:03:00.0) nor an interface name"
    if [ ! -e "$host_root/sys/class/net/$1" ]; then
        address=$(recorded_address_of "$1")
        [ -z "$address" ] || return 0
        lack "$1: no interface of that name in $host_root/sys/class/net; NICs: $(list_nics)"
    fi
    address=$(address_of_interface "$1")
    [ -n "$address" ] || lack "$1: a $(interface_kind "$1") interface, not on a PCI device: nothing to bind; give the NIC below it, or use --port af_xdp:$1"
}

# recorded_address_of IFACE : of a NIC that is bound and had this interface.
recorded_address_of() {
    local kept
    for kept in "$state"/bind/*/interface; do
        if [ "$(read_value "$kept")" = "$1" ]; then basename "${kept%/*}"; return; fi
    done
}

kind_of_class() {
    case $1 in
        0x01*) echo ", storage" ;;
        0x03*) echo ", display" ;;
        0x0604*) echo ", PCI bridge" ;;
        0x06*) echo ", bridge" ;;
        0x0c03*) echo ", USB" ;;
    esac
}

list_nics() {
    local nic text=''
    for nic in $(all_nics); do text+="${text:+, }$nic$(in_brackets "$(interfaces_of "$nic" | joined ' ')")"; done
    echo "${text:-none}"
}
in_brackets() { if [ -n "$1" ]; then echo " ($1)"; fi; }

# lockdown_mode : none, integrity or confidentiality.
lockdown_mode() {
    local modes
    modes=$(read_value "$host_root/sys/kernel/security/lockdown")
    if [[ $modes =~ \[([a-z]+)\] ]]; then echo "${BASH_REMATCH[1]}"; else echo none; fi
}
