#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints this CPU's time stamp counter's frequency in kHz. The emulated CPU has the same counter, and a guest that measures it while its
host is busy is wrong by a factor, so that its seconds are: it is told instead."""

import ctypes
import mmap
import time

# rdtsc; shl rdx, 32; or rax, rdx; ret
CODE = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"


def read_both(rdtsc):
    """Both clocks at one moment, or nearly: of 50 times that between whose two readings least time passed."""
    best = None
    for _ in range(50):
        before, ticks, after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), rdtsc(), time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if best is None or after - before < best[0]:
            best = after - before, ticks, (before + after) / 2
    return best[1:]


def main():
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(CODE)
        start = ctypes.c_char.from_buffer(page)
        rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(start))
        ticks, ns = read_both(rdtsc)
        time.sleep(0.2)
        later_ticks, later_ns = read_both(rdtsc)
        print(round((later_ticks - ticks) * 1e6 / (later_ns - ns)))
        del rdtsc, start


if __name__ == "__main__":
    main()
