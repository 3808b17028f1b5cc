/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Does this host have the inner packet's connection? The kernel's own sockets say so: those of the network
 * namespace in which the program is attached.
 *
 * A balancer without state for a flow sends it to its row's owner, and that may be another backend than the
 * one that has the connection. Whoever wrongly delivers makes the kernel answer with a RST that the client
 * believes; whoever wrongly sends on makes the last hop's kernel do so.
 */
#ifndef FAIRLEAD_BPF_OWNER_H
#define FAIRLEAD_BPF_OWNER_H

#include "bpf/frame.bpf.h"

/* The kernel's structures, as far as they are read here. CO-RE finds the members wherever the running
 * kernel has them, by its BTF. */
struct tcp_request_sock {
    u32 rcv_isn; /* of the client's SYN */
    u32 snt_isn; /* of our SYN-ACK */
} __attribute__((preserve_access_index));

struct inet_timewait_sock {
    unsigned char tw_substate;
} __attribute__((preserve_access_index));

struct tcp_timewait_sock {
    struct inet_timewait_sock tw_sk;
} __attribute__((preserve_access_index));

static __always_inline int is_syn(const struct TcpHeader *tcp)
{
    return (tcp->flags & (kTcpSyn | kTcpAck)) == kTcpSyn;
}

/* A client whose SYN was sent again by another way has two backends with half a connection. It acknowledges
 * the SYN-ACK of one; the other must not see that, or it resets the client. A RST without an acknowledgement
 * answers our SYN-ACK where it stands right behind the client's SYN. */
static __always_inline u32 judge_request(const struct tcp_request_sock *request, const struct TcpHeader *tcp)
{
    if (!request) /* a kind of request that cannot be read (an own protocol on the listener): trust the tuple */
        return kBackend_delivered_request;
    const int is_ours = (tcp->flags & kTcpAck) ? bpf_ntohl(tcp->acknowledgement) == request->snt_isn + 1
                                               : (tcp->flags & kTcpRst) && bpf_ntohl(tcp->sequence) == request->rcv_isn + 1;
    return is_ours ? kBackend_delivered_request : kBackend_next_hop;
}

/* A connection in TIME_WAIT is over: only what ends it is for it, and the client may have opened the same
 * tuple again at another backend since. But one that our server has closed and the client has not waits as a
 * time-wait socket too, of substate FIN_WAIT2, and is as open as the client likes. */
static __always_inline u32 judge_time_wait(const struct tcp_timewait_sock *socket, const struct TcpHeader *tcp)
{
    if (socket && socket->tw_sk.tw_substate == BPF_TCP_FIN_WAIT2)
        return kBackend_delivered_connection;
    return (tcp->flags & (kTcpFin | kTcpRst)) ? kBackend_delivered_time_wait : kBackend_next_hop;
}

static __always_inline u32 judge_socket(struct bpf_sock *socket, struct Ipv4Header *ip, struct TcpHeader *tcp)
{
    switch (socket->state) {
    case BPF_TCP_NEW_SYN_RECV:
        return judge_request(bpf_skc_to_tcp_request_sock(socket), tcp);
    case BPF_TCP_TIME_WAIT:
        return judge_time_wait(bpf_skc_to_tcp_timewait_sock(socket), tcp);
    case BPF_TCP_LISTEN: /* 0: a valid SYN cookie, and one was sent lately */
        return bpf_tcp_check_syncookie(socket, ip, sizeof(*ip), (struct tcphdr *)tcp, sizeof(*tcp)) == 0
                   ? kBackend_delivered_cookie : kBackend_next_hop;
    default:
        return kBackend_delivered_connection;
    }
}

/* The inner TCP header, or null where it cannot be read: no TCP, a fragment, too short. */
static __always_inline struct TcpHeader *find_tcp(const struct Frame *frame)
{
    struct Ipv4Header *ip = frame->inner;
    if (ip->protocol != kIpProtocolTcp || (ip->fragment & bpf_htons(kIpv4MoreFragments | kIpv4FragmentOffsetMask)))
        return 0;
    if (bpf_ntohs(ip->total_length) < header_length(ip) + sizeof(struct TcpHeader))
        return 0;
    struct TcpHeader *tcp = (void *)ip + header_length(ip);
    return (const void *)(tcp + 1) <= frame->data_end ? tcp : 0;
}

/* delivered_...: the packet is for this host. next_hop: it is not, as far as this host can tell. */
static __always_inline u32 find_owner(struct xdp_md *context, const struct Frame *frame, struct TcpHeader *tcp)
{
    if (is_syn(tcp))
        return kBackend_delivered_syn;
    struct bpf_sock_tuple tuple = {};
    tuple.ipv4.saddr = frame->inner->source;
    tuple.ipv4.daddr = frame->inner->destination;
    tuple.ipv4.sport = tcp->source_port;
    tuple.ipv4.dport = tcp->destination_port;
    struct bpf_sock *socket =
        bpf_skc_lookup_tcp(context, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
    if (!socket)
        return kBackend_next_hop;
    const u32 outcome = judge_socket(socket, frame->inner, tcp);
    bpf_sk_release(socket);
    return outcome;
}

#endif
