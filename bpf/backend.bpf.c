// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Decapsulation on a backend: takes the outer headers (GUE, or IPIP) off what a balancer sent and hands
 * the inner packet to the kernel, which holds the VIP on a loopback device and answers the client
 * directly.
 *
 * What is taken for ours: unicast IPv4 frames of protocol IPIP, or of UDP to the GUE port. The outer
 * destination is not compared with this host's addresses: frames reach the device by its own MAC
 * address, and after decapsulation the kernel still drops those that came by another one (promiscuous
 * mode). So a host that routes other hosts' tunnels through this very device must not attach here.
 * Ours must come from an allowed balancer and carry a packet to an allowed VIP; whatever is refused is
 * dropped under a name (FAIRLEAD_BACKEND_OUTCOMES), never passed on: passed to the kernel it would be
 * answered with an ICMP error, or, with a tunnel device configured, be let in unchecked.
 *
 * Everything else passes untouched: other protocols, VLAN-tagged frames, and what ends before one can
 * tell (a UDP fragment without its port: its first fragment is refused, so it is never reassembled).
 *
 * The outer UDP checksum is not verified: the payload is covered by the inner packet's own checksums,
 * which the kernel verifies, and the outer addresses by the IPv4 header checksum, verified here.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/outcomes.bpf.h"
#include "dataplane/wire/bpf_maps.h"
#include "dataplane/wire/drop_reasons.h"
#include "dataplane/wire/packet.h"

enum {
    kAddressCountMax = 4096, /* balancers, and VIPs */
    kIpv4HeaderMax = 60,
    kEcnMask = 0x03,
    kEcnCongested = 0x03,
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, kAddressCountMax);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct AddressKey);
    __type(value, u8);
} balancers SEC(".maps"), backend_vips SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct BackendConfig);
} backend_config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, kBackendOutcomeCount);
    __type(key, u32);
    __type(value, u64);
} backend_outcomes SEC(".maps");

/* A frame that is being taken apart. Pointers are into the packet. */
struct Frame {
    const void *data_end;
    u32 length;                   /* bytes of the frame; more than data_end - data where it has fragments */
    struct EthernetHeader *ethernet;
    struct Ipv4Header *outer;
    u32 outer_length;             /* bytes of the outer IPv4 header */
    const struct UdpHeader *udp;  /* null: IPIP */
    struct Ipv4Header *inner;
    u32 inner_offset;             /* bytes from the outer IPv4 header to the inner one */
};

static __always_inline int is_member(void *set, Be32 ipv4_address)
{
    struct AddressKey key;
    __builtin_memset(&key, 0, sizeof(key));
    key.family = 4;
    __builtin_memcpy(key.address, &ipv4_address, sizeof(ipv4_address));
    return bpf_map_lookup_elem(set, &key) != 0;
}

static __always_inline u32 header_length(const struct Ipv4Header *ip) { return (ip->version_ihl & 0x0f) * 4; }

static __always_inline int is_gue_port(Be16 port)
{
    u32 only = 0;
    const struct BackendConfig *config = bpf_map_lookup_elem(&backend_config, &only);
    return config && config->gue_port == port;
}

/* Whether the frame is encapsulated for us; fills in the outer headers. */
static __always_inline int is_ours(struct Frame *frame, void *data)
{
    frame->ethernet = data;
    frame->outer = (void *)(frame->ethernet + 1);
    frame->udp = 0;
    if ((const void *)(frame->outer + 1) > frame->data_end)
        return 0;
    if (frame->ethernet->ether_type != bpf_htons(kEtherTypeIpv4) || (frame->ethernet->destination[0] & 1))
        return 0;
    frame->outer_length = header_length(frame->outer);
    if (frame->outer->protocol == kIpProtocolIpip)
        return 1;
    if (frame->outer->protocol != kIpProtocolUdp || frame->outer_length < sizeof(struct Ipv4Header) ||
        (frame->outer->fragment & bpf_htons(kIpv4FragmentOffsetMask)))
        return 0;
    frame->udp = (const void *)frame->outer + frame->outer_length;
    return (const void *)(frame->udp + 1) <= frame->data_end && is_gue_port(frame->udp->destination_port);
}

/* RFC 1071: the ones' complement sum over a sound header, its checksum included, is all ones. */
static __always_inline int is_checksum_right(const struct Frame *frame)
{
    const u16 *word = (const void *)frame->outer;
    u32 sum = 0;
    for (u32 offset = 0; offset < kIpv4HeaderMax; offset += sizeof(*word), ++word) {
        if (offset >= frame->outer_length)
            break;
        if ((const void *)(word + 1) > frame->data_end)
            return 0;
        sum += *word;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* delivered, or what is wrong with the outer IPv4 and UDP headers. */
static __always_inline u32 check_outer(const struct Frame *frame)
{
    const struct Ipv4Header *ip = frame->outer;
    const u32 total_length = bpf_ntohs(ip->total_length);
    if ((ip->version_ihl >> 4) != 4 || frame->outer_length < sizeof(*ip) || total_length < frame->outer_length)
        return kBackend_outer_bad;
    if (ip->fragment & bpf_htons(kIpv4MoreFragments | kIpv4FragmentOffsetMask))
        return kBackend_outer_bad;
    if (sizeof(struct EthernetHeader) + total_length > frame->length)
        return kBackend_truncated;
    if (!is_checksum_right(frame))
        return kBackend_outer_bad;
    if (frame->udp) {
        const u32 udp_length = bpf_ntohs(frame->udp->length);
        if (udp_length < sizeof(struct UdpHeader) || udp_length > total_length - frame->outer_length)
            return kBackend_outer_bad;
    }
    return kBackend_delivered;
}

/* delivered, or what is wrong with the GUE header, if there is one. Finds the inner packet: its offset,
 * and the bytes that there are for it. */
static __always_inline u32 find_inner(struct Frame *frame, u32 *room)
{
    frame->inner_offset = frame->outer_length;
    *room = bpf_ntohs(frame->outer->total_length) - frame->outer_length;
    if (!frame->udp)
        return kBackend_delivered;

    const struct GueHeader *gue = (const void *)(frame->udp + 1);
    *room = bpf_ntohs(frame->udp->length) - sizeof(struct UdpHeader);
    if (*room < sizeof(*gue) || (const void *)(gue + 1) > frame->data_end)
        return kBackend_truncated;
    if ((gue->version_hlen & (kGueVersionMask | kGueControlBit)) || gue->flags || gue->protocol != kIpProtocolIpip)
        return kBackend_gue_bad;
    const u32 gue_length = sizeof(*gue) + (gue->version_hlen & kGueHlenMask) * 4;
    if (*room < gue_length)
        return kBackend_truncated;
    *room -= gue_length;
    frame->inner_offset += sizeof(struct UdpHeader) + gue_length;
    return kBackend_delivered;
}

/* delivered, or what is wrong with the inner packet, for which there are `room` bytes. */
static __always_inline u32 check_inner(struct Frame *frame, u32 room)
{
    struct Ipv4Header *ip = frame->inner = (void *)frame->outer + frame->inner_offset;
    if (room < sizeof(*ip) || (const void *)(ip + 1) > frame->data_end)
        return kBackend_truncated;
    const u32 total_length = bpf_ntohs(ip->total_length);
    if ((ip->version_ihl >> 4) != 4 || header_length(ip) < sizeof(*ip) || total_length < header_length(ip) ||
        total_length > room)
        return kBackend_inner_bad;
    return is_member(&backend_vips, ip->destination) ? kBackend_delivered : kBackend_vip_not_allowed;
}

/* RFC 6040: congestion met on the way from the balancer belongs to the inner packet's connection, if
 * that can hear of it. The header checksum follows by RFC 1624, equation 3. */
static __always_inline void keep_congestion_mark(struct Frame *frame)
{
    struct Ipv4Header *ip = frame->inner;
    const u8 before = ip->dscp_ecn;
    if ((frame->outer->dscp_ecn & kEcnMask) != kEcnCongested || (before & kEcnMask) == 0)
        return;
    ip->dscp_ecn = before | kEcnCongested;
    u32 sum = (u16)~bpf_ntohs(ip->checksum) + (u16)~(u16)before + ip->dscp_ecn;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip->checksum = bpf_htons((u16)~sum);
}

static __always_inline u32 check(struct Frame *frame)
{
    if (!is_member(&balancers, frame->outer->source))
        return kBackend_balancer_not_allowed;
    u32 room;
    u32 outcome = check_outer(frame);
    if (outcome == kBackend_delivered)
        outcome = find_inner(frame, &room);
    if (outcome == kBackend_delivered)
        outcome = check_inner(frame, room);
    return outcome;
}

/* Takes the outer headers off; the Ethernet header moves up to the inner packet. */
static __always_inline int strip(struct xdp_md *context, struct Frame *frame)
{
    const struct EthernetHeader ethernet = *frame->ethernet;
    if (bpf_xdp_adjust_head(context, (int)frame->inner_offset))
        return 0;
    struct EthernetHeader *moved = (void *)(long)context->data;
    if ((void *)(moved + 1) > (void *)(long)context->data_end)
        return 0;
    *moved = ethernet;
    return 1;
}

/* frags: packets of jumbo size may lie in several buffers; all headers are in the first. */
SEC("xdp.frags")
int fairlead_back(struct xdp_md *context)
{
    struct Frame frame;
    frame.data_end = (void *)(long)context->data_end;
    frame.length = (u32)bpf_xdp_get_buff_len(context);
    if (!is_ours(&frame, (void *)(long)context->data)) {
        count_outcome(&backend_outcomes, kBackend_passed);
        return XDP_PASS;
    }
    u32 outcome = check(&frame);
    if (outcome == kBackend_delivered) {
        keep_congestion_mark(&frame);
        if (!strip(context, &frame))
            outcome = kBackend_truncated; /* the first buffer ends within the headers */
    }
    count_outcome(&backend_outcomes, outcome);
    return outcome == kBackend_delivered ? XDP_PASS : XDP_DROP;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
