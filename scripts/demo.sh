#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Fairlead's main job, seen whole on one machine: builds it, starts a lab of network namespaces (one client, a router, one
# balancer on AF_XDP, four web servers), pushes three backends, holds connections open under HTTP load, adds a fourth
# backend and drains one meanwhile, and reports what became of the connections. The machine is left as it was.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
programs=${FAIRLEAD_PROGRAMS:-$root/build/bin}
lab_name=demo-$$
# shellcheck source=packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=lab/traffic.sh
source "$root/scripts/lab/traffic.sh"

readonly kVip=198.51.100.10
readonly kShareError=0.05          # of a backend's new connections against its weight, relative
held_count=2000
short_count=60000        # enough that chance (0.7 %) leaves room for the 3 % that slack lets a backend lack
build=yes

usage() {
    cat <<'END'
usage: scripts/demo.sh [--connections N] [--short N] [--no-build]
  --connections N   connections held open all the while (2000)
  --short N         new connections counted in each phase without changes (60000), at least 1000
  --no-build        use the programs in build/bin (or FAIRLEAD_PROGRAMS) as they are
END
}

while [ $# -gt 0 ]; do
    case $1 in
        --connections) held_count=${2:?--connections wants a number}; shift 2 ;;
        --short) short_count=${2:?--short wants a number}; shift 2 ;;
        --no-build) build=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "demo: unknown argument '$1'" >&2; usage >&2; exit 2 ;;
    esac
done

want_number() {     # want_number OPTION VALUE MIN
    if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || [ "$2" -lt "$3" ]; then
        echo "demo: $1 takes a number from $3, not '$2'" >&2
        exit 2
    fi
}
want_number --connections "$held_count" 1
want_number --short "$short_count" 1000      # shares of fewer would be noise

result=''
# shellcheck disable=SC2317  # called by lab_end
last_word() {
    if [ -z "$result" ]; then
        result="demo: FAIL it ended early (exit code $1)"
        set -- "$(($1 == 0 ? 1 : $1))"
    fi
    echo "$result"
    return "$1"
}

show() { printf '$ fairlead %s\n' "$*"; fairlead "$@"; }
step() { printf '\n== %s\n' "$*"; }

problems=()
expect() {          # expect WHAT ACTUAL WANTED
    [ "$2" -eq "$3" ] || problems+=("$1: $2, not $3")
}

# The phases' results, for the table: one JSON object a phase.
phases=()

# count_phase NAME WEIGHTS : short connections while nothing changes; WEIGHTS as JSON, backend to weight.
count_phase() {
    step "$1: $short_count new connections, counted by backend"
    load_ask 120 "short $short_count 64"
    phases+=("$(jq -c --arg name "$1" --argjson weights "$2" '.short + {name: $name, weights: $weights}' <<<"$load_answer")")
    echo "$(field .short.answers) answered, $(field .short.failed) failed, in $(field .seconds) s"
}

print_shares() {
    local phase
    printf '\n%-22s %-8s %8s %10s %10s %9s\n' phase backend weight wanted got error
    for phase in "${phases[@]}"; do
        jq -r '
            (.weights | add) as $weights | .answers as $answers | .name as $name | .backends as $got
            | (.weights | keys[]) as $backend
            | (.weights[$backend] / $weights) as $wanted | (($got[$backend] // 0) / $answers) as $share
            | [$name, $backend, .weights[$backend], $wanted * 100, $share * 100,
               (if $wanted > 0 then ($share / $wanted - 1) * 100 else $share * 100 end)] | @tsv' <<<"$phase" |
            while IFS=$'\t' read -r name backend weight wanted share error; do
                printf '%-22s %-8s %8d %9.2f%% %9.2f%% %+8.2f%%\n' "$name" "$backend" "$weight" "$wanted" "$share" "$error"
            done
    done
}

# worst_share_error : the largest relative distance of a share from its weight; 1 if a backend without weight got any.
worst_share_error() {
    printf '%s\n' "${phases[@]}" | jq -s '
        [.[] | . as $phase | (.weights | add) as $weights | ($phase.backends + .weights | keys[]) as $backend
         | (($phase.weights[$backend] // 0) / $weights) as $wanted
         | (($phase.backends[$backend] // 0) / ([$phase.answers, 1] | max)) as $share
         | if $wanted > 0 then ($share / $wanted - 1) | fabs elif $share > 0 then 1 else 0 end] | max'
}

[ "$(id -u)" -eq 0 ] || { echo "demo: FAIL it needs root: it makes network namespaces"; exit 1; }
end_on_exit
install_packages run
if [ "$build" = yes ]; then
    step "building"
    "$root/scripts/build.sh"
fi

step "starting a lab: 1 client, 1 router, 1 balancer, 4 backends"
lab_begin --balancers 1 --backends 4 --clients 1
lab status

step "three backends, pushed with the CLI; be3 has twice the weight"
show service add web --vip "$kVip" --port 80 --protocol tcp
show backend add web 10.20.0.31 --weight 100
show backend add web 10.20.0.32 --weight 100
show backend add web 10.20.0.33 --weight 200
wait_until 10 vip_answers "$kVip" || { echo "demo: $kVip does not answer" >&2; exit 1; }

step "opening $held_count connections and holding them, each with a request about every second"
load_begin client1 "$kVip"
load_ask 120 "open $held_count 1000"
echo "$(field .held.open) open"

count_phase "three backends" '{"be1": 100, "be2": 100, "be3": 200}'

step "be4 is added, be1 drained, while $held_count connections are open and new ones come"
load_send "short 20000 32 4000"
sleep 1
show backend add web 10.20.0.34 --weight 100
sleep 1.5
show backend drain web 10.20.0.31
load_receive 60
change_failures=$(field .short.failed)
change_answers=$(field .short.answers)
echo "$change_answers answered, $change_failures failed"

count_phase "be4 added, be1 drained" '{"be1": 0, "be2": 100, "be3": 200, "be4": 100}'

load_ask 10 "hold 3"
statistics=$(fairlead stats -o json)
show backend list web
load_ask 10 stop
held=$load_answer
load_abandon

step "result"
printf '%-34s %10s %10s %10s\n' '' requests failures broken
printf '%-34s %10d %10d %10d\n' "$(field .held.opened "$held") connections held open" \
    "$(field .held.requests "$held")" "$(field .held.failed "$held")" "$(field .held.broken "$held")"
for phase in "${phases[@]}"; do
    printf '%-34s %10d %10d %10d\n' "new: $(field .name "$phase")" \
        "$(field .attempted "$phase")" "$(field .failed "$phase")" "$(field .broken "$phase")"
done
printf '%-34s %10d %10d\n' "new: during the changes" "$((change_answers + change_failures))" "$change_failures"
printf 'longest wait for an answer on a held connection: %s ms\n' "$(field .held.longest_gap_ms "$held")"
print_shares
printf '\n%-12s %12s\n' generation packets
field '.generations[] | [.generation, .packets] | @tsv' "$statistics" |
    while IFS=$'\t' read -r generation packets; do printf '%-12s %12s\n' "$generation" "$packets"; done

failed=$(($(field .held.failed "$held") + change_failures))
for phase in "${phases[@]}"; do failed=$((failed + $(field .failed "$phase"))); done
worst=$(worst_share_error)
expect "failed requests" "$failed" 0
expect "broken connections" "$(field .held.broken "$held")" 0
expect "connections open at the end" "$(field .held.open "$held")" "$held_count"
jq -e -n "$worst <= $kShareError" >/dev/null || problems+=("a backend's share is $(jq -n "$worst * 1000 | round / 10") % off its weight")
if [ "${#problems[@]}" -eq 0 ]; then
    result="demo: PASS $(field .held.requests "$held") requests on $held_count held connections and \
$((short_count * 2 + 20000)) new ones: 0 failed, 0 broken, shares within $(jq -n "$worst * 1000 | round / 10") % of their weights"
    exit 0
fi
result="demo: FAIL $(printf '%s; ' "${problems[@]}")"
exit 1
