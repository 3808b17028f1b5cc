# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a balancer cost in CPU time, by three accounts, each wider than the one before: its processes, its core, the machine.
# The narrower ones miss what the kernel does for it elsewhere; the widest includes clients and backends. Sourced by
# perf/compare.sh.

kTicksPerSecond=$(getconf CLK_TCK)
readonly kTicksPerSecond

# process_tree PID... : these and all their descendants.
process_tree() {
    local pid
    for pid in "$@"; do
        echo "$pid"
        # shellcheck disable=SC2046  # one pid a word
        process_tree $(pgrep -P "$pid")
    done
}

# process_ticks PID... : utime + stime of them and their descendants; fields 14 and 15 of /proc/PID/stat, whose second may
# hold spaces.
process_ticks() {
    local pid stat fields sum=0
    for pid in $(process_tree "$@"); do
        stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
        read -ra fields <<<"${stat##*) }"
        sum=$((sum + fields[11] + fields[12]))
    done
    echo "$sum"
}

# busy_ticks [CPU] : of that CPU, or of all: user, nice, system, irq and softirq. What a hypervisor stole is not counted.
busy_ticks() {
    awk -v name="cpu${1:-}" '$1 == name { print $2 + $3 + $4 + $7 + $8 }' /proc/stat
}

# cpu_ticks PID... : the three accounts as one line, "PROCESSES CORE MACHINE".
cpu_ticks() {
    echo "$(process_ticks "$@") $(busy_ticks "$balancer_cpu") $(busy_ticks)"
}

allowed_cpus() {
    local part
    taskset -cp $$ | sed 's/.*: //' | tr ',' '\n' | while IFS=- read -r part last; do seq "$part" "${last:-$part}"; done
}

# cpu_mask CPU... : in hexadecimal, as /sys and /proc take it.
cpu_mask() {
    local cpu mask=0
    for cpu in "$@"; do mask=$((mask | 1 << cpu)); done
    printf '%x\n' "$mask"
}
