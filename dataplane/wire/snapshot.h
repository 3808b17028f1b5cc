/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The snapshot: the whole forwarding state of one generation, as the control plane publishes it.
 *
 *   root segment     SnapshotRoot | ServiceEntry[service_count] | SlotEntry[slot_count]
 *   hops segment     SegmentHeader | HopEntry[count]              indexed by slot
 *   rows segments    SegmentHeader | u16 rows[count] | u16 alternates[count][header.alternates]
 *                    one per service; each element a slot or kNoSlot
 *
 * A row's alternates are the second chance: up to three other living slots that owned the row before, most
 * recent first; kNoSlot fills up.
 *
 * Every segment is a sealed memory file of its own. A segment's id names its content: it is never
 * used for other content by the same control plane, so one that did not change is sent once and
 * shared by all later generations. services[] and slots[] are indexed by the numbers that
 * connections remember, so they have holes (protocol 0, state kSlotFree). Integers are in host
 * order unless typed Be; reserved bytes are zero.
 */
#ifndef FAIRLEAD_WIRE_SNAPSHOT_H
#define FAIRLEAD_WIRE_SNAPSHOT_H

#include "wire.h"

FAIRLEAD_WIRE_BEGIN

#define FAIRLEAD_SNAPSHOT_MAGIC 0x544e4d4745534c46ull /* "FLSEGMNT" */

enum {
    kSnapshotAbi = 2,
    kSegmentRoot = 1,
    kSegmentHops = 2,
    kSegmentRows = 3,
};

enum {
    kServiceCapacity = 4096,  /* service indices are below this */
    kSlotCapacity = 65535,    /* slots are below this */
    kNoSlot = 0xffff,
    kRowCountMax = 1 << 24,
    kAlternateCount = 3,      /* of each row, where a service has a second chance */
    kTimeoutMaxS = 60 * 24 * 3600, /* connection ages are kept modulo 2^24 s */
};

struct SegmentHeader {
    u64 magic;
    u32 abi;
    u32 kind;
    u64 size;      /* bytes, this header included */
    u64 id;        /* 0 for the root */
    u32 count;     /* elements after the header; 0 for the root, which has its own counts */
    u32 checksum;  /* CRC-32C (RFC 3720) of the segment, this field as 0 */
    u32 alternates; /* rows: of each row, 0 (no second chance) or kAlternateCount; else 0 */
    u32 reserved0;
    u64 reserved[2];
};

struct SnapshotRoot {
    struct SegmentHeader header;
    u64 generation;        /* grows by at least 1 with each publication */
    u64 hops_segment_id;
    u8 seed[16];           /* the fleet's secret: keys the flow hash */
    Be32 source_ipv4;      /* outer source of encapsulated packets */
    Be16 gue_port;         /* outer UDP destination port */
    u8 dscp;               /* outer DSCP, 0..63 */
    u8 reserved0;
    u32 service_count;     /* elements of services[], holes included */
    u32 slot_count;        /* elements of slots[], holes included */
    u64 reserved1[2];
};

enum {
    kForwardingGue = 1,
    kForwardingIpip = 2,
};

enum {
    kPortAny = 0,
};

/* A virtual address that is balanced. Address family by `family`; IPv4 in the first four bytes. */
struct ServiceEntry {
    u8 vip[16];
    Be16 port;             /* kPortAny: all ports */
    u8 protocol;           /* kIpProtocolTcp, kIpProtocolUdp; 0: this index is not in use */
    u8 family;             /* 4 */
    u8 forwarding;         /* kForwarding... */
    u8 reserved0[3];
    u64 rows_segment_id;
    u32 half_open_timeout_s;
    u32 established_timeout_s;
    u32 closing_timeout_s;
    u32 udp_timeout_s;
    u64 reserved1[2];
};

enum {
    kSlotFree = 0,         /* no backend: entries that name it are misses */
    kSlotUp = 1,           /* takes new flows and keeps its own */
    kSlotDraining = 2,     /* keeps its own */
    kSlotRehash = 3,       /* dead: entries that name it are misses, its flows go to their rows' owners */
    kSlotReset = 4,        /* dead: its flows are answered with a RST */
};

/* One backend of one service. */
struct SlotEntry {
    u8 address[16];        /* IPv4 in the first four bytes */
    u16 epoch;             /* of the backend's address and creation id: tells a slot's tenants apart */
    u16 service;           /* index into services[] */
    u8 state;              /* kSlot... */
    u8 family;             /* 4 */
    u16 reserved;
    u64 reserved1;
};

/* Where packets for a slot's backend go on the link. */
struct HopEntry {
    u8 mac[6];
    u8 resolved;           /* 0: unknown, packets drop as no_next_hop */
    u8 reserved;
};

FAIRLEAD_WIRE_ASSERT(sizeof(struct SegmentHeader) == 64, "segment header is one cache line");
FAIRLEAD_WIRE_ASSERT(sizeof(struct SnapshotRoot) == 128, "root is two cache lines");
FAIRLEAD_WIRE_ASSERT(FAIRLEAD_WIRE_OFFSET(SnapshotRoot, generation) == 64, "generation at 64");
FAIRLEAD_WIRE_ASSERT(sizeof(struct ServiceEntry) == 64, "service entry is one cache line");
FAIRLEAD_WIRE_ASSERT(sizeof(struct SlotEntry) == 32, "two slot entries a cache line");
FAIRLEAD_WIRE_ASSERT(sizeof(struct HopEntry) == 8, "eight hops a cache line");

FAIRLEAD_WIRE_END
#endif
