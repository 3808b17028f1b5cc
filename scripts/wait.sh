# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Waiting for other programs. Sourced.

# uptime_cs : sets uptime_cs, hundredths of a second since boot. Nobody sets that clock, and it does not count in whole seconds as SECONDS does.
uptime_cs() {
    read -r uptime_cs _ </proc/uptime
    uptime_cs=$((10#${uptime_cs/./}))
}

# wait_until SECONDS COMMAND... : until the command succeeds, whatever it prints; polls, since what it waits for belongs to other programs.
wait_until() {
    local uptime_cs deadline_cs
    uptime_cs
    deadline_cs=$((uptime_cs + $1 * 100))
    shift
    until "$@" >/dev/null 2>&1; do
        uptime_cs
        [ "$uptime_cs" -lt "$deadline_cs" ] || return 1
        sleep 0.05
    done
}
