# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a balancer cost in CPU time, by three accounts, each wider than the one before: its processes, its core, the machine.
# The narrower ones miss what the kernel does for it elsewhere; the widest includes clients and backends. Sourced by
# perf/compare.sh.

kTicksPerSecond=$(getconf CLK_TCK)       # 100, as /proc/uptime has it
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

# busy_ticks [CPU] : of that CPU, or of all, up to an offset: the time since boot less idle, iowait and what a hypervisor
# stole. The kernel knows idle time exactly, while the columns of busy time are what a few hundred samples a second hit.
busy_ticks() {
    local uptime cpus=1
    read -r uptime _ </proc/uptime
    [ $# -gt 0 ] || cpus=$(nproc --all)
    awk -v name="cpu${1:-}" -v up="${uptime/./}" -v cpus="$cpus" '$1 == name { print up * cpus - $5 - $6 - $9 }' /proc/stat
}

# cpu_ticks PID... : the three accounts and the time as one line, "PROCESSES CORE MACHINE NOW"; differences of two lines mean
# something.
cpu_ticks() {
    local uptime
    read -r uptime _ </proc/uptime
    echo "$(process_ticks "$@") $(busy_ticks "$balancer_cpu") $(busy_ticks) $((10#${uptime/./}))"
}

# foreign_ticks : of all processes that are neither this script's nor the lab's nor the kernel's (PF_KTHREAD, 0x200000), up to
# an offset, with those of their children that have ended: what somebody else took meanwhile, from whichever core.
foreign_ticks() {
    local host own
    own=$(process_tree $$; for host in $(lab_hosts); do ip netns pids "$lab_name-$host" 2>/dev/null || true; done)
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v own="$own" '
        BEGIN { split(own, list, "\n"); for (i in list) is_own[list[i]] = 1 }
        { id = $1; sub(/^.*\) /, "") }
        int($7 / 2097152) % 2 == 0 && !(id in is_own) { sum += $12 + $13 + $14 + $15 }
        END { print sum + 0 }' || true
}

# foreign_begin; foreign_percent : what somebody else took since, in percent of one core.
foreign_begin() {
    foreign_since=$(foreign_ticks)
    foreign_from=${EPOCHREALTIME/[.,]/}
}

foreign_percent() {
    jq -n "[($(foreign_ticks) - $foreign_since) / $kTicksPerSecond / (${EPOCHREALTIME/[.,]/} - $foreign_from) * 1e8, 0] | max"
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
