# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A start for which the machine lacks something: one line with need and have, exit code 78, at once, and nothing is left. Sourced by the cases
# that have such.

readonly kRefusedRuntime=/run/refused kRefusalMax_ms=1000 kRefusal=/run/refusal.said

# traces : all that a start could leave behind, but for what goes with its process.
traces() {
    local addresses=("${kNicAddress[@]/#/$kPciDevices/}")
    readlink "${addresses[@]/%//driver}"
    cat "${addresses[@]/%//driver_override}" "$kNodes"/node*/hugepages/hugepages-2048kB/free_hugepages
    ls -d "$kRefusedRuntime" /dev/shm/* /dev/hugepages/* /sys/class/net/* 2>/dev/null || true
}

# took_ms COMMAND... : sets took and code.
took_ms() {
    local began
    began=$(now_ms)
    code=0
    "$@" >"$kRefusal" 2>&1 </dev/null || code=$?
    took=$(($(now_ms) - began))
}

# was_refused TEXT WORDS TRACES
was_refused() {
    note "$1: $(<"$kRefusal")"
    check "$1: exit code 78" same "$code" 78
    check "$1: one line" same "$(wc -l <"$kRefusal")" 1
    check "$1: with need and have" grep -qE -- "$2" "$kRefusal"
    check "$1: nothing is left" same "$(traces)" "$3"
}

# starts_dpdk FILE : what a log says of it that has all of DPDK's own lines. is_before_dpdk OPTION... : not while it refuses, once more.
starts_dpdk() { grep -q ' debug .*EAL: ' "$1"; }
is_before_dpdk() {
    took_ms timeout -k 5 30 "$programs/fairlead-dataplane" --idle backoff --runtime-dir "${refused_runtime:-$kRefusedRuntime}" --connections 65536 \
        --log-level debug "$@"
    [ "$code" -eq 78 ] && not starts_dpdk "$kRefusal"
}

# refused_dataplane TEXT WORDS OPTION... : the real program. Emulation makes it slow to load: what it takes to say its version is taken off. The
# host may be busy: it has three tries, and three times what loading takes, which is a hundredth of a second without emulation.
refused_dataplane() {
    local text=$1 words=$2 before took code tries_left=3 loading_ms allowed_ms
    shift 2
    before=$(traces)
    until [ "$tries_left" -eq 0 ]; do
        took_ms "$programs/fairlead-dataplane" --version
        loading_ms=$took
        took_ms timeout -k 5 30 "$programs/fairlead-dataplane" --idle backoff --runtime-dir "${refused_runtime:-$kRefusedRuntime}" --connections 65536 "$@"
        allowed_ms=$((3 * loading_ms > kRefusalMax_ms ? 3 * loading_ms : kRefusalMax_ms))
        tries_left=$((took - loading_ms > allowed_ms ? tries_left - 1 : 0))
    done
    was_refused "$text" "$words" "$before"
    check "$text: within $allowed_ms ms ($((took - loading_ms)) ms, after $loading_ms to load)" test $((took - loading_ms)) -le "$allowed_ms"
    check "$text: before DPDK starts" is_before_dpdk "$@"
}

# refused_host TEXT WORDS ARGUMENT... : host.sh. How long it takes is measured without emulation, by tests/unit/host.
refused_host() {
    local text=$1 words=$2 before took code
    shift 2
    before=$(traces)
    took_ms "$root/scripts/host.sh" "$@" --state /run/fairlead-host
    was_refused "$text" "$words" "$before"
}
