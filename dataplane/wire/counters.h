/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * The counters, a memory file that the dataplane writes and anyone whom it hands the descriptor maps read-only:
 *
 *   CountersHeader | worker 0 | worker 1 | ...        a worker every worker_stride bytes from worker_offset
 *   worker:  CounterBlock
 *
 * Each field has one writer (the worker; the main thread for the header) and is read and written
 * with relaxed 64-bit accesses; all count up from the dataplane's start but where a comment says
 * "gauge". The file is sparse: what no service or slot uses costs no memory.
 */
#ifndef FAIRLEAD_WIRE_COUNTERS_H
#define FAIRLEAD_WIRE_COUNTERS_H

#include "drop_reasons.h"
#include "snapshot.h"
#include "wire.h"

FAIRLEAD_WIRE_BEGIN

#define FAIRLEAD_COUNTERS_MAGIC 0x53544e554f434c46ull /* "FLCOUNTS" */

enum {
    kCountersAbi = 3,
    kCountersReasonCapacity = 32,   /* room to append drop reasons without moving anything */
    kGenerationHistory = 64,
};

struct CountersHeader {
    u64 magic;
    u32 abi;
    u32 worker_count;
    u64 worker_offset;          /* bytes */
    u64 worker_stride;          /* bytes */
    u64 size;                   /* bytes */
    u64 started_unix_ns;
    u64 generation;             /* gauge: adopted last; 0: none */
    u64 generations_adopted;
    u64 generations_refused;
    u64 adoption_ns_last;       /* gauge: from the publish message to the pointer's release */
    u64 segments_mapped;        /* gauge */
    u64 steered[3];             /* by SteerOutcome, of all AF_XDP ports; brought up to date about once a second */
    u64 ports_offset;           /* bytes; 0: this dataplane counts none by port */
    u64 port_count;
};

/* One port. Written by the dataplane's main thread, the counts of its twin by that one's thread. */
struct PortCounters {
    char name[64];              /* as --port has it, cut off */
    u64 link_is_up;             /* gauge: 0 or 1 */
    u64 link_mbps;              /* gauge: 0: the device does not say, or is down */
    u64 link_changes;
    u64 is_there;               /* gauge: 0 while the device is away */
    u64 removals;               /* of the device, or of its driver */
    u64 to_kernel_packets;      /* through the twin */
    u64 to_kernel_bytes;
    u64 to_kernel_refused;      /* the kernel did not take them: the twin is down */
    u64 from_kernel_packets;
    u64 from_kernel_bytes;
    u64 reserved[6];
};

/* Packets decided by one generation; the place is generation % kGenerationHistory. */
struct GenerationCounters {
    u64 generation;
    u64 packets;
};

struct WorkerCounters {
    u64 received_packets;
    u64 received_bytes;
    u64 forwarded_packets;
    u64 forwarded_bytes;        /* outer headers included */
    u64 kernel_packets;         /* handed to the kernel; where a port cannot, they drop as not_for_vip */
    u64 by_connection;          /* forwarded by an entry of the connection table */
    u64 by_row;                 /* forwarded by the row table */
    u64 by_hops;                /* forwarded to an unsure flow's first choice, with hops where its row has alternates */
    u64 connections;            /* gauge: live entries */
    u64 connections_opened;
    u64 connections_expired;
    u64 connections_evicted;    /* half-open or closing entries that made room */
    u64 connections_displaced;  /* entries moved to their other line */
    u64 connections_unrecorded; /* flows forwarded by their row for want of room */
    u64 connections_stale;      /* entries whose slot has another tenant now */
    u64 bursts;
    u64 polls_empty;
    u64 generation;             /* gauge: used for the last burst */
    u64 resets_sent;            /* RSTs to clients of dead backends */
    u64 hops_omitted;           /* unsure packets that left without hops, for which the MTU had no room */
    u64 connections_adopted;    /* gauge: entries found in the table of an earlier dataplane */
    u64 connections_inherited;  /* entries copied from inherited tables */
    u64 reserved[10];
    u64 drops[kCountersReasonCapacity];   /* by DropReason */
    struct GenerationCounters generations[kGenerationHistory];
};

struct TrafficCounters {
    u64 packets;
    u64 bytes;
};

struct ServiceCounters {
    u64 connections_opened;
    u64 connections_unsure;     /* gauge: live entries whose backend is not known for sure; they stand with their first choice */
    u64 drops[kCountersReasonCapacity];   /* by DropReason */
};

struct SlotCounters {
    u64 connections_opened;
    u64 connections;            /* gauge: live entries */
};

/* A worker's. What every packet adds to stands by itself: of 1,000 services and 10,000 backends it takes 176 KB. */
struct CounterBlock {
    struct WorkerCounters worker;
    struct TrafficCounters service_traffic[kServiceCapacity];   /* received for the service, drops included */
    struct TrafficCounters slot_traffic[kSlotCapacity + 1];     /* forwarded, outer headers included */
    struct ServiceCounters services[kServiceCapacity];
    struct SlotCounters slots[kSlotCapacity + 1];
};

FAIRLEAD_WIRE_ASSERT(sizeof(struct CountersHeader) == 128, "header is two cache lines");
FAIRLEAD_WIRE_ASSERT(sizeof(struct PortCounters) == 192, "ports keep cache lines apart");
FAIRLEAD_WIRE_ASSERT(sizeof(struct WorkerCounters) % 64 == 0, "worker block keeps cache lines apart");
FAIRLEAD_WIRE_ASSERT(sizeof(struct TrafficCounters) == 16, "four slots' traffic a cache line");
FAIRLEAD_WIRE_ASSERT(sizeof(struct ServiceCounters) == 272, "service counters");
FAIRLEAD_WIRE_ASSERT(sizeof(struct SlotCounters) == 16, "slot counters");

FAIRLEAD_WIRE_END
#endif
