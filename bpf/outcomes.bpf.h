/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counting what became of each packet: one 64-bit counter an outcome and CPU. Readers sum the CPUs
 * (bpf/maps.cpp). An XDP program is not preempted on its CPU, so a plain addition loses nothing.
 */
#ifndef FAIRLEAD_BPF_OUTCOMES_H
#define FAIRLEAD_BPF_OUTCOMES_H

#include <bpf/bpf_helpers.h>

#include "dataplane/wire/wire.h"

static __always_inline void count_outcome(void *outcomes, u32 outcome)
{
    u64 *counter = bpf_map_lookup_elem(outcomes, &outcome);
    if (counter)
        ++*counter;
}

#endif
