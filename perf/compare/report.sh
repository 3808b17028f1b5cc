# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What compare.sh measured: medians over the rounds as JSON, and the tables with what they can and cannot show. Sourced by
# perf/compare.sh.

machine_json() {
    jq -n --arg cpu "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -1)" --argjson cores "$(nproc --all)" \
        --arg kernel "$(uname -r)" --argjson hugepages "$(awk '$1 == "HugePages_Total:" { print $2 }' /proc/meminfo)" \
        '{$cpu, $cores, $kernel, $hugepages}'
}

versions_json() {
    jq -n --arg dpdk "$(dpkg-query -W -f '${Version}' dpdk-dev)" --arg haproxy "$(dpkg-query -W -f '${Version}' haproxy)" \
        --arg nginx "$(dpkg-query -W -f '${Version}' nginx)" --arg wrk "$(dpkg-query -W -f '${Version}' wrk)" \
        '{$dpdk, $haproxy, $nginx, $wrk}'
}

# summarise : the medians of each number of each contender (and load), and all rounds.
summarise() {
    [ -s "$work/rounds.jsonl" ] || die "nothing was measured"
    jq -s --argjson machine "$(machine_json)" --argjson versions "$(versions_json)" --argjson seconds "$seconds" \
        --argjson rounds "$rounds" --argjson balancer_cpu "$balancer_cpu" --argjson connections "$kConnections" \
        --argjson backends "$kBackends" --arg commit "$(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown)" '
        def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
        def medians:
            . as $all
            | reduce (.[0] | to_entries[] | select(.value | type == "number") | .key) as $key ({}; .[$key] = ($all | map(.[$key]) | median));
        {$machine, $versions, $commit, $seconds, $rounds, $balancer_cpu, $connections, $backends,
         medians: (reduce (group_by([.part, .contender, .load])[]) as $cell ({};
            setpath([$cell[0] | .part, .contender, (.load // empty)];
                ($cell | medians) + (if $cell[0].load then {failed: ($cell | map(.failed) | add)} else {} end)))),
         measured: .}' "$work/rounds.jsonl"
}

readonly kPacketRow='%-38s %12s %12s\n'
readonly kForeignPercentMax=5
readonly kLabRow='%-13s %10s %8s %8s %12s %12s %12s %9s %9s %7s\n'

print_packets() {
    local label cells
    jq -e '.medians | .testpmd or .mpps' "$1" >/dev/null || return 0
    printf '\nA packet of %s bytes on one core, without a NIC\n' "$kTestpmdPacketSize"
    # shellcheck disable=SC2059
    printf "$kPacketRow" '' ns/packet Mpps
    jq -r '
        def tenths: . * 10 | round | "\(. / 10 | floor).\(. % 10)";
        def rate($name): if $name | endswith("net") then "-" else 1000 / . | tenths end;     # no rate that anything ran at
        def row($name): select(.) | .ns_per_packet | [$name, tenths, rate($name)] | @tsv;
        .medians | (.testpmd.io | row("testpmd io")), (.testpmd.macswap | row("testpmd macswap")),
        (.mpps.fairlead | select(.)
            | ([.io_ns_per_packet, "mpps.sh io"], [.macswap_ns_per_packet, "mpps.sh macswap"],
               [.gross_ns_per_packet, "mpps.sh Fairlead, gross"], [.ns_per_packet, "mpps.sh Fairlead, net"])
            | .[1] as $name | {ns_per_packet: .[0]} | select(.ns_per_packet) | row($name))' "$1" |
        while IFS=$'\t' read -r label cells; do
            # shellcheck disable=SC2059,SC2086
            printf "$kPacketRow" "$label" ${cells//$'\t'/ }
        done
}

print_lab() {
    local cells
    jq -e .medians.lab "$1" >/dev/null || return 0
    printf '\nThe lab: %s keep-alive connections (requests), or a connection a request (connections), to %s nginx backends\n' \
        "$(jq .connections "$1")" "$(jq .backends "$1")"
    # shellcheck disable=SC2059
    printf "$kLabRow" '' '' '' '' 'CPU seconds' 'a million:' '' 'busy, %:' '' ''
    # shellcheck disable=SC2059
    printf "$kLabRow" balancer a/second p50/ms p99/ms balancer its-core machine its-core machine failed
    local load
    for load in "${kLoads[@]}"; do
        echo "$load"
        jq -r --arg load "$load" --argjson order "$(printf '%s\n' "${kContenders[@]}" | jq -R . | jq -s .)" '
            def hundredths: . * 100 | round | "\(. / 100 | floor).\(. % 100 | tostring | if length < 2 then "0" + . else . end)";
            .medians.lab as $lab | $order[] as $name | $lab[$name][$load] | select(.)
            | [(if $name == "none" then "  none, direct" else "  " + $name end),
               (.per_second | round), (.p50_us / 1000 | hundredths), (.p99_us / 1000 | hundredths),
               (if $name == "none" then "-" else (.balancer_cpu_seconds_per_million | hundredths) end),
               (.core_busy_seconds_per_million | hundredths),
               (.machine_busy_seconds_per_million | hundredths), (.core_busy_percent | round), (.machine_busy_percent | round),
               .failed] | @tsv' "$1" |
            while IFS=$'\t' read -ra cells; do
                # shellcheck disable=SC2059
                printf "$kLabRow" "${cells[@]}"
            done
    done
}

print_lab_notes() {
    jq -e .medians.lab "$1" >/dev/null || return 0
    cat <<END

What this shows, and what not:
- The balancer has CPU $balancer_cpu; client, router and backends have CPU ${other_cpus[*]}. Where its core is not busy, the rate is
  the others' limit, not the balancer's: then compare CPU seconds, not rates. "none" is that limit: the client asks one backend directly.
- "balancer" is utime + stime of its processes. "its-core" has the kernel's packet work on its core too. "machine" has everything,
  clients and backends included; it alone is the same account for all.
- HAProxy and nginx end TCP and carry requests and answers. Fairlead carries what clients send; answers go around it (DSR), so half of
  the packets never come its way, and the backends' kernels decapsulate. That is its design; it can look into nothing above L4.
- There is no NIC: on veth, AF_XDP copies each packet in the kernel, and each sent burst is a system call. It shows the cost of that
  path, not of the dataplane (testpmd, mpps.sh). Fairlead runs with --idle backoff: polling, it would use its whole core whatever it
  did. Sleeping adds up to 0.1 ms to a request; waking up for nothing is in its CPU seconds, the more of it the less there is to do.
END
}

print_report() {
    jq -r '
        "\(.machine.cpu), \(.machine.cores) cores, Linux \(.machine.kernel)",
        "DPDK \(.versions.dpdk), HAProxy \(.versions.haproxy), nginx \(.versions.nginx), wrk \(.versions.wrk), Fairlead \(.commit)",
        "\(.rounds) rounds of \(.seconds) s, interleaved; medians"' "$1"
    print_packets "$1"
    print_lab "$1"
    print_lab_notes "$1"
    jq -r --argjson most "$kForeignPercentMax" '
        .measured as $all | [$all[].foreign_percent // 0 | select(. > $most)] | select(length > 0)
        | "\nIn \(length) of \($all | length) measurements somebody else used up to \(max | round) % of a core: measure again on a "
          + "quiet machine."' "$1"
}
