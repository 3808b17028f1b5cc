# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the router runs: the liveness probe that keeps the VIPs' next hops. Sourced by scripts/lab.sh.

start_liveness() {
    local balancer worker addresses socket targets=()
    for balancer in $(balancers); do
        addresses=()
        for worker in $(seq 0 $((worker_count - 1))); do
            addresses+=("$(host_address "$balancer" "$worker")")
        done
        socket=$(host_directory "$balancer")/run/dataplane.sock
        [ "$programs" != none ] || socket=''
        targets+=(--target "$balancer=$(IFS=,; echo "${addresses[*]}")=$socket=$(no_route_file "$balancer")")
    done
    launch router liveness /usr/bin/python3 "$lab_scripts/liveness.py" --network "$kVipNetwork" --ecmp "$ecmp" \
        --state-file "$(host_directory router)/liveness.json" "${targets[@]}"
}

# balancers_alive : whether the probe has found every balancer alive.
balancers_alive() {
    local state
    state=$(host_directory router)/liveness.json
    [ -f "$state" ] && jq -e '[.alive[]] | all' "$state" >/dev/null
}

resilient_next_hops_work() {
    in_host router ip nexthop add id 4000 blackhole 2>/dev/null || return 1
    local works=yes
    in_host router ip nexthop add id 4001 group 4000 type resilient buckets 4 2>/dev/null || works=no
    in_host router ip nexthop del id 4000 2>/dev/null
    [ "$works" = yes ]
}
