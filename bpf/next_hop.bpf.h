/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Sending a packet on to the next backend that may have its connection: the hops that the balancer wrote
 * into the GUE private data, and the way to them.
 *
 * The outer source stays the balancer's, so that the next backend knows whom it is from, and it makes the
 * decision as this one did. Each step raises next_hop and lowers the TTL: no packet goes round for ever.
 *
 * Out by the device it came in by where the kernel knows the neighbour; otherwise the packet, readdressed,
 * goes to the kernel, which forwards it and asks for the neighbour. Another device is left to the kernel
 * too: not every driver takes what XDP_REDIRECT hands it, and what it refuses is lost without a word. So is
 * a device that loses what XDP_TX sends: the loader knows which (bpf/backend.hpp: Transmit).
 */
#ifndef FAIRLEAD_BPF_NEXT_HOP_H
#define FAIRLEAD_BPF_NEXT_HOP_H

#include "bpf/checksum.bpf.h"
#include "bpf/frame.bpf.h"

enum {
    kFamilyIpv4 = 2, /* AF_INET; <sys/socket.h> is not for BPF */
    kDscpMask = 0xfc,
};

/* The hops, or null where the packet carries none: no GUE, no private data, or another type of it, which is
 * skipped as a Linux GUE receiver skips it. */
static __always_inline struct GueHops *find_hops(const struct Frame *frame)
{
    if (!frame->udp || frame->private_length < sizeof(struct GueHops))
        return 0;
    struct GueHops *hops = (void *)(frame->udp + 1) + sizeof(struct GueHeader);
    if ((const void *)(hops + 1) > frame->data_end || hops->type != bpf_htons(kGueHopsIpv4))
        return 0;
    return hops;
}

static __always_inline int are_hops_sound(const struct Frame *frame, const struct GueHops *hops)
{
    return hops->hop_count <= kGueHopCountMax && hops->next_hop <= hops->hop_count &&
           frame->private_length == sizeof(*hops) + hops->hop_count * sizeof(Be32);
}

/* Where to send the packet, or 0: no hop is left. This host itself is skipped: a row's former owners may
 * count it among them. Raises next_hop past what was taken. */
static __always_inline Be32 take_hop(const struct Frame *frame, struct GueHops *hops)
{
    for (u32 i = 0; i < kGueHopCountMax; ++i) {
        const u32 next = hops->next_hop;
        const Be32 *hop = (const void *)(hops + 1) + (next & 3) * sizeof(*hop);
        if (next >= hops->hop_count || (const void *)(hop + 1) > frame->data_end)
            break;
        hops->next_hop = next + 1;
        if (*hop != frame->outer->destination)
            return *hop;
    }
    return 0;
}

static __always_inline void readdress(const struct Frame *frame, Be32 destination)
{
    struct Ipv4Header *ip = frame->outer;
    const u32 before = bpf_ntohl(ip->destination);
    const u32 after = bpf_ntohl(destination);
    ip->checksum = checksum_after(ip->checksum, before >> 16, after >> 16);
    ip->checksum = checksum_after(ip->checksum, before, after);
    ip->destination = destination;
    frame->udp->checksum = 0; /* none: it covered the address and the hops, and no backend asks for it */
}

static __always_inline void decrement_ttl(struct Ipv4Header *ip)
{
    ip->checksum = checksum_after(ip->checksum, (u16)(ip->ttl << 8), (u16)((ip->ttl - 1) << 8));
    --ip->ttl;
}

/* Asks the kernel for the way of an outer packet that came in here to `destination`. */
static __always_inline u32 find_route(struct xdp_md *context, const struct Frame *frame, Be32 destination,
                                      u8 second_chance, struct bpf_fib_lookup *route)
{
    __builtin_memset(route, 0, sizeof(*route));
    route->family = kFamilyIpv4;
    route->l4_protocol = kIpProtocolUdp;
    route->sport = frame->udp->source_port;
    route->dport = frame->udp->destination_port;
    route->tot_len = bpf_ntohs(frame->outer->total_length);
    route->tos = frame->outer->dscp_ecn & kDscpMask;
    route->ifindex = context->ingress_ifindex;
    route->ipv4_src = frame->outer->source;
    route->ipv4_dst = destination;
    switch (bpf_fib_lookup(context, route, sizeof(*route), 0)) {
    case BPF_FIB_LKUP_RET_SUCCESS:
        return second_chance == kSecondChanceXdp && route->ifindex == context->ingress_ifindex
                   ? kBackend_next_hop : kBackend_next_hop_kernel;
    case BPF_FIB_LKUP_RET_NO_NEIGH:   /* and there never will be one if nobody else talks to it */
    case BPF_FIB_LKUP_RET_UNSUPP_LWT: /* a route that encapsulates */
        return kBackend_next_hop_kernel;
    case BPF_FIB_LKUP_RET_FWD_DISABLED:
        return kBackend_forwarding_off;
    case BPF_FIB_LKUP_RET_FRAG_NEEDED:
        return kBackend_next_hop_too_big;
    default:
        return kBackend_next_hop_unreachable;
    }
}

/* next_hop: readdressed, to be transmitted. next_hop_kernel: readdressed, to be passed to the kernel.
 * delivered_last: nobody else is left to ask. Otherwise, why the packet is dropped. */
static __always_inline u32 send_on(struct xdp_md *context, const struct Frame *frame, struct GueHops *hops,
                                   u8 second_chance)
{
    const Be32 destination = take_hop(frame, hops);
    if (!destination)
        return kBackend_delivered_last;
    if (frame->outer->ttl <= 1)
        return kBackend_ttl_expired;
    struct bpf_fib_lookup route;
    const u32 outcome = find_route(context, frame, destination, second_chance, &route);
    if (outcome != kBackend_next_hop && outcome != kBackend_next_hop_kernel)
        return outcome;
    readdress(frame, destination);
    if (outcome == kBackend_next_hop) { /* the kernel would do these itself */
        decrement_ttl(frame->outer);
        __builtin_memcpy(frame->ethernet->destination, route.dmac, sizeof(route.dmac));
        __builtin_memcpy(frame->ethernet->source, route.smac, sizeof(route.smac));
    }
    return outcome;
}

#endif
