# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# DPDK's own testpmd on one net_null port: what the framework itself costs a packet, before a balancer has looked at it. `io`
# takes packets and sends them on untouched, `macswap` swaps the Ethernet addresses of each. Sourced by perf/compare.sh.
#
# The port's packets are buffers from the pool whose bytes nobody has written, so that nothing is read from memory that the
# previous burst has not warmed: a floor, not a workload.

readonly kTestpmdPacketSize=64
readonly kTestpmdMemoryMb=256
readonly kTestpmdBuffers=8192
readonly kTestpmdWarmSeconds=1

testpmd_pid=''

# testpmd_measure MODE SECONDS : sets testpmd_pps, from testpmd's own statistics: the rate between two `show port stats`, by
# its own clock.
testpmd_measure() {
    local mode=$1 seconds=$2 log=$work/testpmd-$1.log
    mkdir -p "$work/runtime"
    # Not a coproc: bash takes its descriptors and its pid away when it ends, however early that is.
    local input
    exec {input}> >(
        RUNTIME_DIRECTORY=$work/runtime exec taskset -c "$all_cpus" dpdk-testpmd \
            --no-huge -m "$kTestpmdMemoryMb" --no-pci --no-shconf --no-telemetry \
            --main-lcore "${other_cpus[0]}" -l "${other_cpus[0]},$balancer_cpu" --vdev="net_null0,size=$kTestpmdPacketSize" -- \
            -i --forward-mode="$mode" --nb-cores=1 --total-num-mbufs="$kTestpmdBuffers" --no-lsc-interrupt >"$log" 2>&1
    )
    testpmd_pid=$!
    # In a subshell: SIGPIPE, if testpmd has died, ends no more than that.
    (
        echo start
        sleep "$kTestpmdWarmSeconds"
        echo 'show port stats 0'
        sleep "$seconds"
        printf '%s\n' 'show port stats 0' stop quit
    ) >&"$input" || true
    exec {input}>&-
    wait "$testpmd_pid" 2>/dev/null || true
    testpmd_pid=''
    testpmd_pps=$(awk '/Rx-pps:/ { rate = $2 } END { print rate + 0 }' "$log")
    if [ "$testpmd_pps" -eq 0 ] || ! testpmd_sent_all "$log"; then
        tail -n 5 "$log" | sed 's/^/    /' >&2
        die "testpmd in mode $mode did not forward all that it received; its last lines are above"
    fi
}

# testpmd_sent_all LOG : what it forwarded must be what it received, or the rate is that of dropping.
testpmd_sent_all() {
    awk '
        /RX-packets:.*RX-dropped:/ { taken = $2 }
        /TX-packets:.*TX-dropped:/ { sent = $2 }
        END { exit !(taken > 0 && taken == sent) }' "$1"
}

testpmd_abandon() {
    [ -n "$testpmd_pid" ] || return 0
    kill -KILL "$testpmd_pid" 2>/dev/null || true
    wait "$testpmd_pid" 2>/dev/null || true
    testpmd_pid=''
}

# testpmd_round SECONDS : io, then macswap.
testpmd_round() {
    local mode
    for mode in io macswap; do
        foreign_begin
        testpmd_measure "$mode" "$1"
        record "$(jq -nc --arg mode "$mode" --argjson pps "$testpmd_pps" --argjson foreign "$(foreign_percent)" \
            '{part: "testpmd", contender: $mode, mpps: ($pps / 1e6), ns_per_packet: (1e9 / $pps), foreign_percent: $foreign}')"
        say "testpmd $mode: $(jq -n "1e9 / $testpmd_pps * 100 | round / 100") ns a packet"
    done
}
