# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Sets of CPUs: one number a line here, lists (0-3,8) and masks (ff,ffffffff) as the kernel writes them, and what sysfs says of each.

cpus_directory=$host_root/sys/devices/system/cpu

# The three read standard input.
cpus_of_list() {
    local part parts
    IFS=, read -ra parts || true
    for part in "${parts[@]}"; do
        if [[ $part =~ ^([0-9]+)-([0-9]+)$ ]]; then seq "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        elif [[ $part =~ ^[0-9]+$ ]]; then echo "$part"
        fi
    done | sort -nu
}
list_of_cpus() {
    sort -nu | awk '
        function put() { if (first != "") text = text (text == "" ? "" : ",") first (last > first ? "-" last : "") }
        first != "" && $1 == last + 1 { last = $1; next }
        { put(); first = last = $1 + 0 }
        END { put(); print text }'
}
mask_of_cpus() {
    local cpu group text='' words=()
    while read -r cpu; do
        group=$((cpu / 32))
        while [ "${#words[@]}" -le "$group" ]; do words+=(0); done
        words[group]=$((words[group] | 1 << (cpu % 32)))
    done
    for ((group = ${#words[@]} - 1; group >= 0; --group)); do
        if [ -z "$text" ]; then text=$(printf '%x' "${words[group]}"); else text+=$(printf ',%08x' "${words[group]}"); fi
    done
    echo "${text:-0}"
}
# cpus_of_mask MASK
cpus_of_mask() {
    local groups group bit base=0 value
    IFS=, read -ra groups <<<"$1"
    for ((group = ${#groups[@]} - 1; group >= 0; --group, base += 32)); do
        value=$((16#${groups[group]}))
        for ((bit = 0; bit < 32; ++bit)); do
            if [ $((value >> bit & 1)) -eq 1 ]; then echo $((base + bit)); fi
        done
    done
}

# without A B : the lines of A that are not in B.
without() { grep -vxF -f <(printf '%s\n' "${2:-none}") <<<"$1" || true; }

online_cpus() { read_value "$cpus_directory/online" | cpus_of_list; }
isolated_cpus() { read_value "$cpus_directory/isolated" | cpus_of_list; }
cpus_of_node() {
    local node=$host_root/sys/devices/system/node/node$1
    if [ -d "$node" ]; then read_value "$node/cpulist" | cpus_of_list; else online_cpus; fi
}
siblings_of() {
    local siblings
    siblings=$(read_value "$cpus_directory/cpu$1/topology/thread_siblings_list" | cpus_of_list)
    echo "${siblings:-$1}"
}
