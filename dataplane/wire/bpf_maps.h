/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/*
 * Names and shapes of the BPF programs' maps, shared by the programs in bpf/ and by who fills them.
 * Program names are how a stale or foreign program on a device is told apart, so they are fixed.
 */
#ifndef FAIRLEAD_WIRE_BPF_MAPS_H
#define FAIRLEAD_WIRE_BPF_MAPS_H

#include "wire.h"

/* bpf/steer.bpf.c */
#define FAIRLEAD_STEER_PROGRAM "fairlead_steer"
#define FAIRLEAD_STEER_SOCKETS "xsks_map"       /* XSKMAP: RX queue -> socket; the name is DPDK's */
#define FAIRLEAD_STEER_VIPS "steer_vips"        /* HASH: AddressKey -> u8 1 */
#define FAIRLEAD_STEER_DEVICE "steer_device"    /* ARRAY[1]: struct SteerDevice */
#define FAIRLEAD_STEER_OUTCOMES_MAP "steer_outcomes" /* PERCPU_ARRAY: enum SteerOutcome -> u64 */

/* bpf/backend.bpf.c */
#define FAIRLEAD_BACKEND_PROGRAM "fairlead_back"
#define FAIRLEAD_BACKEND_BALANCERS "balancers"  /* HASH: AddressKey -> u8 1 */
#define FAIRLEAD_BACKEND_VIPS "backend_vips"    /* HASH: AddressKey -> u8 1 */
#define FAIRLEAD_BACKEND_CONFIG "backend_config" /* ARRAY[1]: struct BackendConfig */
#define FAIRLEAD_BACKEND_OUTCOMES_MAP "backend_outcomes" /* PERCPU_ARRAY: enum BackendOutcome -> u64 */

FAIRLEAD_WIRE_BEGIN

/* An address of either family: IPv4 in the first four bytes, the rest zero. */
struct AddressKey {
    u8 address[16];
    u32 family;            /* 4 or 6 */
};

/* The device that the steering program is on: only frames to its own address are steered, once it is known. */
struct SteerDevice {
    u8 mac[6];
    u8 is_known;
    u8 reserved;
};

/* What becomes of a packet with hops whose connection is not here. */
enum SecondChance {
    kSecondChanceOff,      /* hops are skipped, everything is delivered */
    kSecondChanceXdp,      /* sent on by the program where it knows the way, else by the kernel */
    kSecondChanceKernel,   /* sent on by the kernel */
};

struct BackendConfig {
    Be16 gue_port;         /* UDP destination port that is GUE */
    u8 second_chance;      /* enum SecondChance */
    u8 raised_forwarding;  /* not for the program: attach turned the device's forwarding on, so detach turns it off */
};

FAIRLEAD_WIRE_ASSERT(sizeof(struct AddressKey) == 20, "map keys have no padding");
FAIRLEAD_WIRE_ASSERT(sizeof(struct BackendConfig) == 4, "loaders of all versions read each other's");

FAIRLEAD_WIRE_END
#endif
