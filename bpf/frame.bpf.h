/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An encapsulated frame on a backend: which frames are ours, and whether every header of theirs is sound.
 */
#ifndef FAIRLEAD_BPF_FRAME_H
#define FAIRLEAD_BPF_FRAME_H

#include <bpf/bpf_endian.h>

#include "bpf/backend_maps.bpf.h"
#include "dataplane/wire/packet.h"

enum { kIpv4HeaderMax = 60 };

/* A frame that is being taken apart. Pointers are into the packet. */
struct Frame {
    const void *data_end;
    u32 length;                   /* bytes of the frame; more than data_end - data where it has fragments */
    struct EthernetHeader *ethernet;
    struct Ipv4Header *outer;
    u32 outer_length;             /* bytes of the outer IPv4 header */
    struct UdpHeader *udp;        /* null: IPIP */
    u32 private_length;           /* bytes of GUE private data */
    struct Ipv4Header *inner;
    u32 inner_offset;             /* bytes from the outer IPv4 header to the inner one */
};

static __always_inline u32 header_length(const struct Ipv4Header *ip) { return (ip->version_ihl & 0x0f) * 4; }

/* Whether the frame is encapsulated for us; fills in the outer headers. */
static __always_inline int is_ours(struct Frame *frame, void *data, const struct BackendConfig *config)
{
    frame->ethernet = data;
    frame->outer = (void *)(frame->ethernet + 1);
    frame->udp = 0;
    frame->private_length = 0;
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
    frame->udp = (void *)frame->outer + frame->outer_length;
    return (const void *)(frame->udp + 1) <= frame->data_end && frame->udp->destination_port == config->gue_port;
}

/* RFC 1071: the ones' complement sum over a sound header, its checksum included, is all ones. */
static __always_inline int is_checksum_right(const struct Frame *frame)
{
    const u16 *word = (const void *)frame->outer;
    u32 sum = 0;
    for (u32 offset = 0; offset < kIpv4HeaderMax; offset += sizeof(*word), ++word) {
        if (offset >= frame->outer_length)
            break;
        const void *end = word + 1;
        /* Else clang 19 compares `word` with `data_end + 1`, and the verifier allows no arithmetic on that. */
        asm volatile("" : "+r"(end));
        if (end > frame->data_end)
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
    frame->private_length = (gue->version_hlen & kGueHlenMask) * 4;
    const u32 gue_length = sizeof(*gue) + frame->private_length;
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

#endif
