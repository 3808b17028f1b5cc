# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The load: wrk on client1, as fast as answers come (a closed loop), the same for each contender. Sourced by perf/compare.sh.
#
#   requests      each of kConnections connections stays, and has one request under way at any time
#   connections   each request has a connection of its own (Connection: close)

readonly kLoads=(requests connections)
readonly kConnections=64
readonly kWarmSeconds=1

# run_wrk LOAD SECONDS : wrk's own report.
run_wrk() {
    local options=()
    [ "$1" = requests ] || options+=(-H 'Connection: close')
    lab run client1 wrk --threads "$load_threads" --connections "$kConnections" \
        --duration "${2}s" --latency "${options[@]}" "$target"
}

# wrk_json : from wrk's report on the standard input: answers, failed, seconds, p50_us, p99_us. The time is taken from the rate,
# which wrk divides before it rounds the time to a hundredth of its unit: 36 s where that is an hour.
wrk_json() {
    awk '
        function microseconds(text) {
            if (text ~ /us$/) return text + 0
            if (text ~ /ms$/) return text * 1e3
            if (text ~ /m$/) return text * 6e7
            if (text ~ /h$/) return text * 36e8
            return text * 1e6
        }
        function seconds(text) { return microseconds(text) / 1e6 }
        $1 == "50%" { median = microseconds($2) }
        $1 == "99%" { late = microseconds($2) }
        / requests in / { sub(",", "", $4); answers = $1; time = seconds($4) }
        $1 == "Requests/sec:" && $2 > 0 { time = answers / $2 }
        /Socket errors:/ { gsub(",", ""); failed += $4 + $6 + $8 + $10 }
        /Non-2xx/ { failed += $NF }
        END {
            if (!time) exit 1
            printf "{\"answers\": %.0f, \"failed\": %.0f, \"seconds\": %.3f, ", answers, failed, time
            printf "\"p50_us\": %.0f, \"p99_us\": %.0f}\n", median, late
        }'
}

# measure_load CONTENDER LOAD SECONDS : one cell of the table.
measure_load() {
    local contender=$1 load=$2 seconds=$3 before after foreign answer
    run_wrk "$load" "$kWarmSeconds" >/dev/null
    foreign_begin
    before=$(cpu_ticks "${balancer_pids[@]}")
    run_wrk "$load" "$seconds" >"$work/wrk.txt"
    after=$(cpu_ticks "${balancer_pids[@]}")
    foreign=$(foreign_percent)
    answer=$(wrk_json <"$work/wrk.txt") || die "wrk said nothing that is understood: $(tail -n 1 "$work/wrk.txt")"
    [ "$(jq .answers <<<"$answer")" -gt 0 ] || die "$contender answered no request"
    record "$(jq -nc --arg contender "$contender" --arg load "$load" --argjson answer "$answer" --argjson tick "$kTicksPerSecond" \
        --argjson cpus "$(nproc --all)" --arg before "$before" --arg after "$after" --argjson foreign "$foreign" '
        ([$before, $after] | map(split(" ") | map(tonumber)) | transpose | map((.[1] - .[0]) / $tick))
            as [$processes, $core, $machine, $elapsed]
        | ($answer.answers / 1e6) as $millions
        | {part: "lab", $contender, $load} + $answer + {
            per_second: ($answer.answers / $answer.seconds),
            balancer_cpu_seconds_per_million: ($processes / $millions),
            core_busy_seconds_per_million: ($core / $millions),
            machine_busy_seconds_per_million: ($machine / $millions),
            foreign_percent: $foreign,
            core_busy_percent: ($core / $elapsed * 100),
            machine_busy_percent: ($machine / $elapsed / $cpus * 100)}')"
    say "$contender, $load: $(jq -n "$(jq '.answers / .seconds' <<<"$answer") | round") a second"
}

# lab_round SECONDS : each contender in turn.
lab_round() {
    local contender load
    for contender in "${kContenders[@]}"; do
        begin_contender "$contender"
        for load in "${kLoads[@]}"; do measure_load "$contender" "$load" "$1"; done
        end_contender
    done
}
