# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How many hugepages there must be for a measurement to find what it needs. Sourced by perf/mpps.sh.

# hugepages_wanted NEEDED [MEMINFO] : what nr_hugepages is to become for NEEDED to be free, besides those that somebody uses or has
# been promised; nothing, if so many are free as it is. Surplus pages are counted: they are the first to become regular ones.
hugepages_wanted() {
    awk -v needed="$1" '
        $1 == "HugePages_Total:" { total = $2 }
        $1 == "HugePages_Free:" { free = $2 }
        $1 == "HugePages_Rsvd:" { reserved = $2 }
        END { if (free - reserved < needed) print total - free + reserved + needed }' "${2:-/proc/meminfo}"
}
