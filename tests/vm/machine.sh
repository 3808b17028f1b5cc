# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2054,SC2154
# The guest as QEMU is told it: an emulated IOMMU, and pairs of NICs, joined by a wire. The first of a pair is given to the
# dataplane and sits on a PCI Express port of its own, so that it can be taken out; the second stays with the guest's kernel.
# The machine has two NUMA nodes, each with a CPU and half of the memory: one NIC is on node 1, of the others the firmware says
# nothing, as that of most machines with one node. Sourced by run.sh.
#
#   pair        the dataplane's              the kernel's     wire
#   e1000e      01:00.0  nic-e1000e          00:11.0          hub (QEMU's)
#   vmxnet3     02:00.0  nic-vmxnet3         00:12.0          hub
#   virtio      03:00.0  nic-virtio          00:13.0          hub
#   virtio-rss  81:00.0  nic-virtio-rss      00:14.0          bridge and taps, since only a tap has queues; on node 1
#
# The caller sets here (of this directory), run (the run directory), kernel_directory and initrd.

readonly kNodeMemory_mb=1024
readonly kVirtioOptions=iommu_platform=on,disable-legacy=on

# add_pair NUMBER NAME DEVICE NETDEV-A NETDEV-B OPTIONS-A OPTIONS-B BUS,SLOT : sets machine. The MAC addresses are 52:54:00:00:0N:0a and 0b.
add_pair() {
    local number=$1 name=$2 device=$3
    machine+=(
        -device "pcie-root-port,id=port-$name,chassis=$number,bus=${8%,*},addr=${8#*,}"
        -netdev "$4,id=wire-$name"
        -device "$device,id=nic-$name,bus=port-$name,netdev=wire-$name,mac=52:54:00:00:0$number:0a,romfile=$6"
        -netdev "$5,id=wire-$name-twin"
        -device "$device,netdev=wire-$name-twin,mac=52:54:00:00:0$number:0b,bus=pcie.0,addr=0x1$number,romfile=$7"
    )
}

# describe_machine APPEND : sets machine, QEMU's arguments; APPEND goes to the kernel's command line. Of the timer and the clock the kernel is
# told what it would measure, and get wrong on a busy host (no_timer_check, tsc_early_khz).
describe_machine() {
    machine=(
        -nodefaults -no-user-config -display none -no-reboot
        -machine q35,accel=tcg -cpu max,la57=off -smp 2 -m "$((2 * kNodeMemory_mb))"
        -object "memory-backend-ram,id=memory-0,size=${kNodeMemory_mb}M" -numa node,nodeid=0,cpus=0,memdev=memory-0
        -object "memory-backend-ram,id=memory-1,size=${kNodeMemory_mb}M" -numa node,nodeid=1,cpus=1,memdev=memory-1
        -kernel "$kernel_directory/vmlinux" -initrd "$initrd"
        -append "console=ttyS0 quiet panic=-1 tsc=reliable tsc_early_khz=$("$here/tsc_khz.py") no_timer_check mitigations=off intel_iommu=on iommu=pt $1"
        -device intel-iommu,intremap=on,aw-bits=48
        -virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"
        -virtfs "local,path=$kernel_directory/lib/modules,mount_tag=modules,security_model=none,readonly=on"
        -virtfs "local,path=$run/guest,mount_tag=run,security_model=none"
        -serial "file:$run/console" -serial "file:$run/tap"
        # What the guest writes to its third serial port are commands to QEMU's monitor: one pipe is the end of both.
        -chardev "pipe,id=orders,path=$run/orders" -serial chardev:orders
        -chardev "pipe,id=monitor,path=$run/monitor" -mon chardev=monitor
        -chardev "pipe,id=shell,path=$run/shell" -serial chardev:shell
    )
    add_pair 1 e1000e e1000e hubport,hubid=1 hubport,hubid=1 '' '' pcie.0,0x15
    add_pair 2 vmxnet3 vmxnet3 hubport,hubid=2 hubport,hubid=2 '' '' pcie.0,0x16
    add_pair 3 virtio virtio-net-pci hubport,hubid=3 hubport,hubid=3 ",$kVirtioOptions" ",$kVirtioOptions" pcie.0,0x17
    machine+=(-device pxb-pcie,id=node-1,bus_nr=0x80,numa_node=1,bus=pcie.0,addr=0x1a)
    add_pair 4 virtio-rss virtio-net-pci \
        tap,ifname=tap-rss,queues=2,vhost=off,script=no,downscript=no tap,ifname=tap-twin,vhost=off,script=no,downscript=no \
        ",$kVirtioOptions,mq=on,vectors=6,rss=on,hash=on" ",$kVirtioOptions" node-1,0x0
}

make_pipes() {
    mkfifo "$run/monitor.in" "$run/orders.in" "$run/shell.in" "$run/shell.out"
    ln "$run/monitor.in" "$run/orders.out"
    : >"$run/monitor.out"
}

# start_machine : sets machine_pid. The taps are in a network namespace that is QEMU's own and goes with it; QEMU goes with
# this script, however that ends.
start_machine() {
    make_pipes
    # shellcheck disable=SC2016
    setpriv --pdeathsig KILL unshare --net bash -euc '
        ip link add name wire type bridge mcast_snooping 0
        ip tuntap add dev tap-rss mode tap multi_queue
        ip tuntap add dev tap-twin mode tap
        for tap in tap-rss tap-twin; do ip link set dev "$tap" master wire up; done
        ip link set dev wire up
        exec setpriv --pdeathsig KILL qemu-system-x86_64 "$@"' start_machine "${machine[@]}" \
        </dev/null >"$run/qemu.log" 2>&1 &
    machine_pid=$!
}

# end_machine : by its pid, while it is this shell's child.
end_machine() {
    [ -n "${machine_pid:-}" ] || return 0
    kill -KILL "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
    machine_pid=''
}
