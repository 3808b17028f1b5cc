# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Hugepages of 2 MB lent for the time of a measurement, and given back, even if whoever lent them was killed: then by the next.
# Sourced by perf/mpps.sh. Only who holds the measurements' lock may call these.

hugepages_count=/proc/sys/vm/nr_hugepages
# "BEFORE AFTER": what nr_hugepages was before it was raised, and then. Root's alone, unlike the lock, and gone with a reboot.
hugepages_record=/run/fairlead-mpps.hugepages

# hugepages_wanted NEEDED [MEMINFO] : what nr_hugepages is to become for NEEDED to be free, besides those that somebody uses or has
# been promised; nothing, if so many are free as it is. Surplus pages are counted: they are the first to become regular ones.
hugepages_wanted() {
    awk -v needed="$1" '
        $1 == "HugePages_Total:" { total = $2 }
        $1 == "HugePages_Free:" { free = $2 }
        $1 == "HugePages_Rsvd:" { reserved = $2 }
        END { if (free - reserved < needed) print total - free + reserved + needed }' "${2:-/proc/meminfo}"
}

# lend_hugepages NEEDED [MEMINFO] : so that NEEDED are free, or none where the kernel has fewer to give.
lend_hugepages() {
    local before wanted after
    [ -w "$hugepages_count" ] || return 0
    wanted=$(hugepages_wanted "$@")
    [ -n "$wanted" ] || return 0
    before=$(cat "$hugepages_count")
    # Ahead of the raise, so that no moment is without a record.
    echo "$before $wanted" 2>/dev/null >"$hugepages_record" || return 0
    echo "$wanted" 2>/dev/null >"$hugepages_count" || true
    after=$(cat "$hugepages_count")
    echo "$before $after" >"$hugepages_record"
    if [ "$after" -lt "$wanted" ]; then
        echo "mpps: the kernel gives $((after - before)) of $((wanted - before)) hugepages: measured without; memory is scattered or short" >&2
        give_back_hugepages
    fi
}

# give_back_hugepages : what a record says was lent, now or by a run that was killed. Who has set nr_hugepages since, meant it.
give_back_hugepages() {
    local before after now
    [ -e "$hugepages_record" ] || return 0
    if read -r before after <"$hugepages_record" && [[ $before =~ ^[0-9]+$ && $after =~ ^[0-9]+$ ]]; then
        now=$(cat "$hugepages_count")
        if [ "$now" -eq "$after" ]; then
            echo "$before" 2>/dev/null >"$hugepages_count" || true
        elif [ "$now" -ne "$before" ]; then
            echo "mpps: somebody has set vm.nr_hugepages to $now since it was raised from $before to $after: it stays" >&2
        fi
    fi
    rm -f "$hugepages_record"
}
