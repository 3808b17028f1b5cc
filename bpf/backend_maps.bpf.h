/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The backend program's maps: its settings, which the loader writes (bpf/backend.cpp), and its counters.
 */
#ifndef FAIRLEAD_BPF_BACKEND_MAPS_H
#define FAIRLEAD_BPF_BACKEND_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "dataplane/wire/bpf_maps.h"
#include "dataplane/wire/drop_reasons.h"

enum { kAddressCountMax = 4096 }; /* balancers, and VIPs */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, kAddressCountMax);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct AddressKey);
    __type(value, u8);
} balancers SEC(".maps"), backend_vips SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct BackendConfig);
} backend_config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, kBackendOutcomeCount);
    __type(key, u32);
    __type(value, u64);
} backend_outcomes SEC(".maps");

static __always_inline int is_member(void *set, Be32 ipv4_address)
{
    struct AddressKey key;
    __builtin_memset(&key, 0, sizeof(key));
    key.family = 4;
    __builtin_memcpy(key.address, &ipv4_address, sizeof(ipv4_address));
    return bpf_map_lookup_elem(set, &key) != 0;
}

static __always_inline const struct BackendConfig *read_config(void)
{
    u32 only = 0;
    return bpf_map_lookup_elem(&backend_config, &only);
}

#endif
