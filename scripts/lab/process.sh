# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Processes of the lab. A record is <host directory>/<program>.pid: the pid and the time it started, so that a pid which
# the kernel has given to somebody else is never taken for ours. Sourced by scripts/lab.sh.

# start_time PID : clock ticks since boot, field 22 of /proc/PID/stat; the name before it may hold spaces.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    local fields
    read -ra fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] || return 1
    echo "${fields[19]}"
}

# launch HOST PROGRAM COMMAND... : starts the command in the host's namespace, apart from this terminal, and records it.
launch() {
    local host=$1 program=$2 directory
    shift 2
    directory=$(host_directory "$host")
    setsid ip netns exec "$(namespace_of "$host")" "$@" </dev/null >>"$directory/$program.log" 2>&1 &
    record "$host" "$program" "$!"
}

record() {
    local host=$1 program=$2 pid=$3 started
    started=$(start_time "$pid") || started=0
    echo "$pid $started" >"$(host_directory "$host")/$program.pid"
}

# running_pid HOST PROGRAM : prints the pid if it is alive and ours.
running_pid() {
    local pid started
    read -r pid started 2>/dev/null <"$(host_directory "$1")/$2.pid" || return 1
    [ "$(start_time "$pid")" = "$started" ] || return 1
    echo "$pid"
}

# signal_program HOST PROGRAM SIGNAL : signals it and its children (a group, since it was started by setsid), and waits
# until they are gone.
signal_program() {
    local host=$1 program=$2 signal=$3 pid
    pid=$(running_pid "$host" "$program") || { echo "lab: $program does not run on $host" >&2; return 1; }
    kill "-$signal" -- "-$pid"
    wait_until 10 group_gone "$pid" || { echo "lab: $program on $host (pid $pid) does not end" >&2; return 1; }
}

process_gone() { ! start_time "$1" >/dev/null; }

group_gone() {
    local pid
    for pid in $(pgrep -g "$1"); do
        ! start_time "$pid" >/dev/null || return 1
    done
}

# namespace_pids : every process in the lab's namespaces, whoever started it.
namespace_pids() {
    local host
    for host in $(hosts); do
        ip netns pids "$(namespace_of "$host")" 2>/dev/null || true
    done
}

# none_left PID... : whether these, and all others in the namespaces, are gone. A dying process leaves its namespace before
# it is gone; a zombie (start_time knows it as gone) is its parent's business.
none_left() {
    local pid
    for pid in "$@"; do
        ! start_time "$pid" >/dev/null || return 1
    done
    [ -z "$(namespace_pids)" ]
}

# end_processes : ends all that runs in the lab's namespaces. The namespaces are the lab's own, so what is in them is, too.
end_processes() {
    local pids
    mapfile -t pids < <(namespace_pids)
    [ "${#pids[@]}" -gt 0 ] || return 0
    kill -TERM "${pids[@]}" 2>/dev/null || true
    wait_until 4 none_left "${pids[@]}" && return 0
    mapfile -t pids < <(namespace_pids)
    [ "${#pids[@]}" -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
    wait_until 4 none_left "${pids[@]}" || echo "lab: some processes do not end: $(namespace_pids | tr '\n' ' ')" >&2
}
