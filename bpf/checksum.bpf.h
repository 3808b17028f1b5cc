/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#ifndef FAIRLEAD_BPF_CHECKSUM_H
#define FAIRLEAD_BPF_CHECKSUM_H

#include <bpf/bpf_endian.h>

#include "dataplane/wire/wire.h"

/* A header's checksum after one of its 16-bit words has changed: RFC 1624, equation 3, HC' = ~(~HC + ~m + m').
 * Words in host order. A byte beside the changed one that stays may be left out: ~b + b adds nothing. */
static __always_inline Be16 checksum_after(Be16 checksum, u16 before, u16 after)
{
    u32 sum = (u16)~bpf_ntohs(checksum) + (u16)~before + after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return bpf_htons((u16)~sum);
}

#endif
