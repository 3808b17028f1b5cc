// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Decapsulation on a backend: takes the outer headers (GUE, or IPIP) off what a balancer sent and hands
 * the inner packet to the kernel, which holds the VIP on a loopback device and answers the client
 * directly. A packet that carries hops, and whose connection this host does not have, is sent on to the next
 * of them instead: the second chance (bpf/owner.bpf.h, bpf/next_hop.bpf.h).
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

#include <bpf/bpf_helpers.h>

#include "bpf/checksum.bpf.h"
#include "bpf/frame.bpf.h"
#include "bpf/next_hop.bpf.h"
#include "bpf/outcomes.bpf.h"
#include "bpf/owner.bpf.h"

enum {
    kEcnMask = 0x03,
    kEcnCongested = 0x03,
};

/* RFC 6040: congestion met on the way from the balancer belongs to the inner packet's connection, if
 * that can hear of it. */
static __always_inline void keep_congestion_mark(struct Frame *frame)
{
    struct Ipv4Header *ip = frame->inner;
    const u8 before = ip->dscp_ecn;
    if ((frame->outer->dscp_ecn & kEcnMask) != kEcnCongested || (before & kEcnMask) == 0)
        return;
    ip->dscp_ecn = before | kEcnCongested;
    ip->checksum = checksum_after(ip->checksum, before, ip->dscp_ecn);
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

/* What becomes of a sound packet of ours: delivered..., next_hop..., or why it is dropped. Hops are for TCP
 * alone; with another packet inside they are skipped, and so is private data that is not hops. */
static __always_inline u32 decide(struct xdp_md *context, struct Frame *frame, u8 second_chance)
{
    struct GueHops *hops = find_hops(frame);
    struct TcpHeader *tcp = find_tcp(frame);
    if (!hops || !tcp)
        return kBackend_delivered;
    if (!are_hops_sound(frame, hops))
        return kBackend_hops_bad;
    const u32 outcome = find_owner(context, frame, tcp);
    return outcome == kBackend_next_hop ? send_on(context, frame, hops, second_chance) : outcome;
}

/* Takes what is for this host apart, and says what the kernel is to do with the packet. */
static __always_inline int carry_out(struct xdp_md *context, struct Frame *frame, u32 *outcome)
{
    switch (*outcome) {
    case kBackend_delivered:
    case kBackend_delivered_syn:
    case kBackend_delivered_connection:
    case kBackend_delivered_request:
    case kBackend_delivered_time_wait:
    case kBackend_delivered_cookie:
    case kBackend_delivered_last:
        keep_congestion_mark(frame);
        if (strip(context, frame))
            return XDP_PASS;
        *outcome = kBackend_truncated; /* the first buffer ends within the headers */
        return XDP_DROP;
    case kBackend_next_hop:
        return XDP_TX;
    case kBackend_next_hop_kernel:
        return XDP_PASS;
    default:
        return XDP_DROP;
    }
}

/* frags: packets of jumbo size may lie in several buffers; all headers are in the first. */
SEC("xdp.frags")
int fairlead_back(struct xdp_md *context)
{
    struct Frame frame;
    const struct BackendConfig *config = read_config();
    frame.data_end = (void *)(long)context->data_end;
    frame.length = (u32)bpf_xdp_get_buff_len(context);
    if (!config || !is_ours(&frame, (void *)(long)context->data, config)) {
        count_outcome(&backend_outcomes, kBackend_passed);
        return XDP_PASS;
    }
    u32 outcome = check(&frame);
    if (outcome == kBackend_delivered && config->second_chance != kSecondChanceOff)
        outcome = decide(context, &frame, config->second_chance);
    const int action = carry_out(context, &frame, &outcome);
    count_outcome(&backend_outcomes, outcome);
    return action;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
