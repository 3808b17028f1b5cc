/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * What is said on the dataplane's control socket: Unix domain, SOCK_SEQPACKET, one message a packet.
 * The dataplane listens; fairleadd publishes; any reader may ask for the counters.
 *
 *   dataplane -> peer     Hello                              at once after accept
 *   peer -> dataplane     Segment + 1 descriptor             a sealed segment, to be named by a later root
 *   peer -> dataplane     Publish + 1 descriptor             the sealed root of a generation
 *   dataplane -> peer     Adopted | Refused                  one for each Publish, and for a Segment that is refused
 *   peer -> dataplane     GetCounters
 *   dataplane -> peer     Counters + 1 descriptor            the counters' memory file, read-only
 *   peer -> dataplane     Stop                               end as by SIGTERM
 *   dataplane -> peer     Stopping                           at once; the connection's end follows, when it has ended
 *
 * The dataplane holds the segments that the running generation names and those sent on this connection since;
 * after a new connection everything is sent again. A message of the wrong magic, version, type or
 * length ends the connection; nothing else depends on it.
 */
#ifndef FAIRLEAD_WIRE_CONTROL_MESSAGES_H
#define FAIRLEAD_WIRE_CONTROL_MESSAGES_H

#include "wire.h"

FAIRLEAD_WIRE_BEGIN

enum {
    kControlMagic = 0x4c464354, /* "TCFL" */
    kControlVersion = 1,
    kControlMessageSizeMax = 512,
};

enum ControlType {
    kControlHello = 1,
    kControlSegment = 2,
    kControlPublish = 3,
    kControlAdopted = 4,
    kControlRefused = 5,
    kControlGetCounters = 6,
    kControlCounters = 7,
    kControlStop = 8,
    kControlStopping = 9,
};

struct ControlHeader {
    u32 magic;
    u16 version;
    u16 type;              /* enum ControlType */
    u32 length;            /* bytes, this header included */
    u32 reserved;
};

struct ControlHello {
    struct ControlHeader header;
    u64 generation;        /* running; 0: none */
    u64 pid;
    u32 worker_count;
    u32 snapshot_abi;
    char version[32];      /* NUL-terminated */
};

struct ControlSegment {
    struct ControlHeader header;
    u64 id;                /* as in the segment's own header */
};

struct ControlPublish {
    struct ControlHeader header;
    u64 generation;        /* as in the root */
};

struct ControlAdopted {
    struct ControlHeader header;
    u64 generation;
};

struct ControlRefused {
    struct ControlHeader header;
    u64 generation;        /* 0 for a segment */
    u64 segment_id;        /* 0 for a root */
    u64 running;           /* generation; 0: none. A root must exceed it */
    char reason[256];      /* NUL-terminated */
};

struct ControlGetCounters {
    struct ControlHeader header;
};

struct ControlCounters {
    struct ControlHeader header;
    u64 size;              /* bytes to map */
};

struct ControlStop {
    struct ControlHeader header;
};

struct ControlStopping {
    struct ControlHeader header;
};

FAIRLEAD_WIRE_ASSERT(sizeof(struct ControlHeader) == 16, "control header is 16 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct ControlHello) == 72, "hello is 72 bytes");
FAIRLEAD_WIRE_ASSERT(sizeof(struct ControlRefused) == 296, "refused is 296 bytes");

FAIRLEAD_WIRE_END
#endif
