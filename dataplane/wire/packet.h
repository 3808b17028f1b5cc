/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Packet headers as they stand on the wire. All packed, all alignment 1, all sizes asserted.
 * Sources: IEEE 802.3, RFC 791 (IPv4), RFC 9293 (TCP), RFC 768 (UDP), draft-ietf-intarea-gue-09 (GUE).
 */
#ifndef FAIRLEAD_WIRE_PACKET_H
#define FAIRLEAD_WIRE_PACKET_H

#include "wire.h"

FAIRLEAD_WIRE_BEGIN

enum {
    kEtherTypeIpv4 = 0x0800,
    kEtherTypeArp = 0x0806,
    kEtherTypeVlan = 0x8100,
    kEtherTypeQinQ = 0x88a8,
    kEtherTypeIpv6 = 0x86dd,
};

enum {
    kIpProtocolIcmp = 1,
    kIpProtocolIpip = 4,
    kIpProtocolTcp = 6,
    kIpProtocolUdp = 17,
};

struct EthernetHeader {
    u8 destination[6];
    u8 source[6];
    Be16 ether_type;
} FAIRLEAD_PACKED;

struct Ipv4Header {
    u8 version_ihl;       /* version 4 in the high nibble, header length in 32-bit words in the low */
    u8 dscp_ecn;          /* DSCP in the high six bits */
    Be16 total_length;    /* bytes, this header included */
    Be16 identification;
    Be16 fragment;        /* kIpv4DontFragment, kIpv4MoreFragments, offset in units of 8 bytes */
    u8 ttl;
    u8 protocol;
    Be16 checksum;
    Be32 source;
    Be32 destination;
} FAIRLEAD_PACKED;

enum {
    kIpv4DontFragment = 0x4000,
    kIpv4MoreFragments = 0x2000,
    kIpv4FragmentOffsetMask = 0x1fff,
};

struct TcpHeader {
    Be16 source_port;
    Be16 destination_port;
    Be32 sequence;
    Be32 acknowledgement;
    u8 data_offset;       /* header length in 32-bit words in the high nibble */
    u8 flags;             /* kTcp... */
    Be16 window;
    Be16 checksum;
    Be16 urgent;
} FAIRLEAD_PACKED;

enum {
    kTcpFin = 0x01,
    kTcpSyn = 0x02,
    kTcpRst = 0x04,
    kTcpPsh = 0x08,
    kTcpAck = 0x10,
};

struct UdpHeader {
    Be16 source_port;
    Be16 destination_port;
    Be16 length;          /* bytes, this header included */
    Be16 checksum;        /* 0: none (allowed over IPv4, RFC 768) */
} FAIRLEAD_PACKED;

/* Generic UDP Encapsulation, variant 0, data message. */
struct GueHeader {
    u8 version_hlen;      /* version (2 bits) 0, C (1 bit) 0, hlen (5 bits): 32-bit words after this header */
    u8 protocol;          /* IP protocol of the payload: kIpProtocolIpip for an IPv4 packet */
    Be16 flags;           /* 0 */
} FAIRLEAD_PACKED;

enum {
    kGueVersionMask = 0xc0,
    kGueControlBit = 0x20,
    kGueHlenMask = 0x1f,
    kGueDefaultPort = 6080, /* IANA: gue; 19523 for GLB's tools */
};

/*
 * GUE private data of the second chance, then hop_count IPv4 addresses (Be32 each).
 * hops[next_hop] is where a backend without the connection sends the packet, after incrementing
 * next_hop; next_hop == hop_count means: this backend is the last, deliver. GLB's format.
 */
struct GueHops {
    Be16 type;            /* kGueHopsIpv4 */
    u8 next_hop;          /* index into the hops */
    u8 hop_count;         /* at most kGueHopCountMax */
} FAIRLEAD_PACKED;

enum {
    kGueHopsIpv4 = 0,
    kGueHopCountMax = 3,
};

FAIRLEAD_WIRE_ASSERT(sizeof(struct EthernetHeader) == 14, "Ethernet header is 14 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct Ipv4Header) == 20, "IPv4 header without options is 20 bytes");
FAIRLEAD_WIRE_ASSERT(FAIRLEAD_WIRE_OFFSET(Ipv4Header, destination) == 16, "IPv4 destination at 16");
FAIRLEAD_WIRE_ASSERT(sizeof(struct TcpHeader) == 20, "TCP header without options is 20 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct UdpHeader) == 8, "UDP header is 8 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct GueHeader) == 4, "GUE header is 4 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct GueHops) == 4, "GUE hop header is 4 bytes");

FAIRLEAD_WIRE_END
#endif
