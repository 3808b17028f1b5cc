/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way a packet can end other than forwarded: one list per program, each line
 *   X(identifier, what happened, what to look at)
 * The identifier is the counter's name, the metric's label and the text in `replay`; enums, arrays
 * and tables in the docs are made from it and nowhere else.
 */
#ifndef FAIRLEAD_WIRE_DROP_REASONS_H
#define FAIRLEAD_WIRE_DROP_REASONS_H

#include "wire.h"

/* The dataplane (core/ and io/). Append only: the numbers are in the counters' ABI. */
#define FAIRLEAD_DROP_REASONS(X) \
    X(frame_truncated, "the frame ends before its headers do", "the sender, or a capture cut short") \
    X(ip_header_bad, "the IPv4 header's version or length is wrong", "the sender") \
    X(ip_length_bad, "the IPv4 total length is shorter than its headers or longer than the frame", "the sender") \
    X(fragment, "an IP fragment: its ports are unknown", "the path MTU; send smaller datagrams") \
    X(protocol_unsupported, "to a VIP, but neither TCP nor UDP", "nothing, or what the client sends") \
    X(l4_header_bad, "the TCP data offset or the UDP length does not fit the packet", "the sender") \
    X(no_service, "to a VIP, but to no service's port and protocol", "the service's port, or a scan") \
    X(no_backend, "the service has no backend that takes new flows", "fairlead backend list") \
    X(no_next_hop, "the backend's next hop has no link-layer address", "routes and neighbours on the balancer") \
    X(too_big, "longer than the link's MTU once encapsulated", "the MTU of the links to the backends") \
    X(segmented, "a frame in several buffers, which the port should not deliver", "the port's MTU and buffer size") \
    X(no_headroom, "no room in the buffer for the outer headers", "the port's buffer configuration") \
    X(not_for_vip, "to no VIP, on a port without a way to the kernel", "what is sent to this port") \
    X(no_snapshot, "no generation has been adopted yet", "fairlead status; is fairleadd running?") \
    X(tx_full, "the transmit queue took no more", "the link's rate, the number of workers") \
    X(rx_missed, "the receive queue was full: its worker was late", "the CPUs of the workers, the number of workers") \
    X(backend_dead, "a reset for a connection of a dead backend, which has no one to go to", "nothing: the client ended it") \
    X(backend_unknown, "for a connection whose backend a restored generation does not know yet", "is fairleadd running?") \
    X(kernel_full, "for the kernel, which was behind with the port's twin", "what is sent to the balancer itself") \
    X(worker_behind, "for another worker, whose ring was full: it was late", "the CPUs of the workers, the number of workers")

/* bpf/steer.bpf.c: what became of each packet on an AF_XDP port's device. */
#define FAIRLEAD_STEER_OUTCOMES(X) \
    X(redirected, "for a VIP: to the dataplane's socket", "") \
    X(no_socket, "for a VIP, dropped: no socket on its queue", "is fairlead-dataplane running?") \
    X(passed, "not for a VIP: to the kernel", "")

/* bpf/backend.bpf.c: what became of each packet on a backend. */
#define FAIRLEAD_BACKEND_OUTCOMES(X) \
    X(delivered, "decapsulated and handed to the kernel", "") \
    X(passed, "not encapsulated for us: handed to the kernel as it came", "") \
    X(balancer_not_allowed, "dropped: encapsulated by an address that is not an allowed balancer", "--allow-balancer") \
    X(vip_not_allowed, "dropped: the inner destination is not an allowed VIP", "--vip") \
    X(truncated, "dropped: ends before its headers do", "the path from the balancer") \
    X(outer_bad, "dropped: the outer IPv4 or UDP header is malformed or a fragment", "the path from the balancer") \
    X(gue_bad, "dropped: a GUE version, control message or flag that is not understood", "who sends GUE here") \
    X(inner_bad, "dropped: the inner packet is not a well-formed IPv4 packet", "who sends to the balancer") \
    X(delivered_syn, "carried hops, delivered: it opens a connection", "") \
    X(delivered_connection, "carried hops, delivered: its connection is here", "") \
    X(delivered_request, "carried hops, delivered: it answers a SYN-ACK from here", "") \
    X(delivered_time_wait, "carried hops, delivered: a FIN or RST for a connection that is over here", "") \
    X(delivered_cookie, "carried hops, delivered: it bears a SYN cookie from here", "") \
    X(delivered_last, "carried hops, delivered: not known here, and no hop is left; the kernel resets it", "") \
    X(next_hop, "not known here: sent on to the next hop", "") \
    X(next_hop_kernel, "not known here: handed to the kernel to be sent on to the next hop", "") \
    X(hops_bad, "dropped: malformed hops", "who sends GUE here") \
    X(ttl_expired, "dropped: its TTL does not let it go on to the next hop", "the TTL the balancer sets") \
    X(next_hop_unreachable, "dropped: no route to the next hop", "ip route get; the backends' addresses") \
    X(next_hop_too_big, "dropped: longer than the MTU of the way to the next hop", "the MTU of the links between backends") \
    X(forwarding_off, "dropped: the device may not forward to the next hop", "net.ipv4.conf.INTERFACE.forwarding; attach again")

FAIRLEAD_WIRE_BEGIN

#ifdef __cplusplus
#define FAIRLEAD_X(name, text, mend) name,
enum class DropReason : u8 { FAIRLEAD_DROP_REASONS(FAIRLEAD_X) kCount };
#undef FAIRLEAD_X
inline constexpr u32 kDropReasonCount = static_cast<u32>(DropReason::kCount);

struct ReasonText {
    const char *name; ///< counter name, metric label
    const char *text; ///< what happened
    const char *mend; ///< what to look at
};
#define FAIRLEAD_X(name, text, mend) {#name, text, mend},
inline constexpr ReasonText kDropReasons[] = {FAIRLEAD_DROP_REASONS(FAIRLEAD_X)};
inline constexpr ReasonText kSteerOutcomes[] = {FAIRLEAD_STEER_OUTCOMES(FAIRLEAD_X)};
inline constexpr ReasonText kBackendOutcomes[] = {FAIRLEAD_BACKEND_OUTCOMES(FAIRLEAD_X)};
#undef FAIRLEAD_X
#endif

#define FAIRLEAD_X(name, text, mend) kSteer_##name,
enum SteerOutcome { FAIRLEAD_STEER_OUTCOMES(FAIRLEAD_X) kSteerOutcomeCount };
#undef FAIRLEAD_X
#define FAIRLEAD_X(name, text, mend) kBackend_##name,
enum BackendOutcome { FAIRLEAD_BACKEND_OUTCOMES(FAIRLEAD_X) kBackendOutcomeCount };
#undef FAIRLEAD_X

FAIRLEAD_WIRE_END
#endif
