// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Steering on a NIC that the kernel and the dataplane share (AF_XDP): IPv4 packets to a VIP go to the
 * dataplane's socket on their receive queue, everything else (SSH, BGP, ARP) to the kernel as it came.
 *
 * A packet to a VIP that no socket takes is dropped and counted, never passed: the balancer's own
 * kernel must neither answer for a VIP nor loop it. Whether the packet is well-formed is not asked
 * here: the dataplane has a name for each fault. Frames that end before the destination address, and
 * VLAN-tagged ones, are the kernel's.
 *
 * DPDK's net_af_xdp loads this object from a file (devarg xdp_prog=) by plain libbpf: the first
 * program, and the map named xsks_map, into which it puts its sockets. No bpffs is needed.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/outcomes.bpf.h"
#include "dataplane/wire/bpf_maps.h"
#include "dataplane/wire/drop_reasons.h"
#include "dataplane/wire/packet.h"

enum {
    kQueueCountMax = 256, /* receive queues of one device; packets of a higher one count as no_socket */
    kVipCountMax = 65536,
};

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, kQueueCountMax);
    __type(key, u32);
    __type(value, u32);
} xsks_map SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, kVipCountMax);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct AddressKey);
    __type(value, u8);
} steer_vips SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct SteerDevice);
} steer_device SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, kSteerOutcomeCount);
    __type(key, u32);
    __type(value, u64);
} steer_outcomes SEC(".maps");

/* Frames that a switch floods, or that a promiscuous device takes in, are another host's: that one forwards them. */
static __always_inline int is_for_device(const struct EthernetHeader *ethernet)
{
    if (ethernet->destination[0] & 1) /* broadcast, multicast */
        return 0;
    u32 zero = 0;
    const struct SteerDevice *device = bpf_map_lookup_elem(&steer_device, &zero);
    if (!device || !device->is_known)
        return 1;
    const u8 *mac = device->mac, *to = ethernet->destination;
    return !((mac[0] ^ to[0]) | (mac[1] ^ to[1]) | (mac[2] ^ to[2]) | (mac[3] ^ to[3]) | (mac[4] ^ to[4]) | (mac[5] ^ to[5]));
}

static __always_inline int is_for_vip(const void *data, const void *data_end)
{
    const struct EthernetHeader *ethernet = data;
    const struct Ipv4Header *ip = (const void *)(ethernet + 1);
    if ((const void *)(ip + 1) > data_end)
        return 0;
    if (ethernet->ether_type != bpf_htons(kEtherTypeIpv4) || !is_for_device(ethernet))
        return 0;
    struct AddressKey key;
    __builtin_memset(&key, 0, sizeof(key));
    key.family = 4;
    __builtin_memcpy(key.address, &ip->destination, sizeof(ip->destination));
    return bpf_map_lookup_elem(&steer_vips, &key) != 0;
}

SEC("xdp")
int fairlead_steer(struct xdp_md *context)
{
    if (!is_for_vip((void *)(long)context->data, (void *)(long)context->data_end)) {
        count_outcome(&steer_outcomes, kSteer_passed);
        return XDP_PASS;
    }
    /* The flags are the answer where the queue has no socket. */
    long verdict = bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_DROP);
    count_outcome(&steer_outcomes, verdict == XDP_REDIRECT ? kSteer_redirected : kSteer_no_socket);
    return (int)verdict;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
