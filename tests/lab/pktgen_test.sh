#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2317  # functions that check calls
# fairlead-pktgen against the real balancer over a cable: all of what it sends comes back encapsulated, no flow moves when
# a backend is added meanwhile, and its search finds a throughput.
#
#   fairlead-pktgen (AF_XDP) on gen ---------- lb on fairlead-dataplane (AF_XDP), fairleadd
#     sends to the VIP, and is the next hop of every backend
#
# All of it is in network, process and mount namespaces of this script, which end with its first process.
set -euo pipefail
if [ "$(id -u)" -eq 0 ] && [ "${FAIRLEAD_OWN_NAMESPACES:-no}" = no ]; then
    FAIRLEAD_OWN_NAMESPACES=yes exec unshare --net --mount --pid --mount-proc --fork --kill-child "${BASH_SOURCE[0]}"
fi
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"
# shellcheck source=../../scripts/lab/priority.sh
source "$root/scripts/lab/priority.sh"

readonly kGeneratorMac=02:00:00:00:00:01
readonly kBalancerMac=02:00:00:00:00:02
readonly kRate=10000
readonly kFlows=2000
place=$(mktemp -d)
fairlead() { "$programs/fairlead" "$@"; }
export FAIRLEAD_SOCKET=$place/run/fairleadd.sock

# The programs end with the namespaces; their files do not.
# shellcheck disable=SC2317  # called by lab_end
last_word() {
    if [ "$is_done" != yes ]; then
        tail -n 5 "$place"/*.log | sed 's/^/# /'
        echo "not ok - $test_name ended early (exit code $1)"
        failed_checks=1
    fi
    rm -rf "$place"
    return $((failed_checks > 0 ? 1 : 0))
}

lay_cable() {
    # One queue on both sides, as an AF_XDP socket has, and frames as they are to be: checksums filled in, in one piece.
    ip link set lo up
    ip link add gen address "$kGeneratorMac" mtu 1600 numtxqueues 1 numrxqueues 1 type veth \
        peer name lb address "$kBalancerMac" mtu 1600 numtxqueues 1 numrxqueues 1
    local interface
    for interface in gen lb; do
        sysctl -q -w "net.ipv6.conf.$interface.disable_ipv6=1" 2>/dev/null || true
        ethtool -K "$interface" tx off tso off gso off sg off >/dev/null 2>&1
        ip link set "$interface" up
    done
    ip address add 10.20.0.11/16 dev lb
}

start_balancer() {
    mkdir -p "$place/run" "$place/state"
    cat >"$place/fairlead.yaml" <<END
balancer:
  source_address: 10.20.0.11
  next_hop_mac: "$kGeneratorMac"
services: []
END
    local dataplane_priority
    choose_dataplane_priority
    "${dataplane_priority[@]}" "$programs/fairlead-dataplane" --port af_xdp:lb --idle backoff --connections 65536 --wide-connections 1024 --forget \
        --runtime-dir "$place/run" >"$place/fairlead-dataplane.log" 2>&1 &
    dataplane=$!
    "$programs/fairleadd" --config "$place/fairlead.yaml" --state-dir "$place/state" --runtime-dir "$place/run" \
        >"$place/fairleadd.log" 2>&1 &
    wait_until 15 agree_at_all
}
agree_at_all() { [ "$(status_of '.dataplane.is_connected')" = true ]; }

# pktgen OPTION... : from gen to the VIP, reported as JSON; bounded in time, whatever it does.
pktgen() {
    timeout --kill-after 5 30 "$programs/fairlead-pktgen" --port af_xdp:gen --gateway-mac "$kBalancerMac" --vip "$kVip" \
        --flows "$kFlows" --open-rate 10k --idle backoff --json "$@"
}

# From then on its program is the one that it keeps.
sent_by() { ip -json -stats link show dev "$1" | jq .[0].stats64.tx.packets; }
sends() { [ "$(sent_by "$1")" -gt "$sent_before" ]; }

# meanwhile COMMAND... : a second from now.
meanwhile() {
    sleep 1
    fairlead "$@" >/dev/null
}

lay_cable
start_balancer || { echo "# the balancer is not ready"; exit 1; }
# No health checks: there is nobody at the backends' addresses, and dead ones lose their flows.
fairlead service add web --vip "$kVip" --port 80 --protocol tcp --health none >/dev/null
for number in 1 2 3; do fairlead backend add web "10.20.0.$((30 + number))" >/dev/null; done
check "the dataplane has the service" wait_until 10 agree

# Who asks for an interface that somebody uses is refused, and the interface is as it was: the VIP answers.
refuses() {                    # refuses INTERFACE WORDS
    local code=0 said
    said=$("$programs/fairlead-pktgen" --port "af_xdp:$1" --gateway-mac "$kGeneratorMac" --vip "$kVip" --seconds 1 --idle backoff \
        2>&1 >/dev/null) || code=$?
    note "refused with exit code $code: $said"
    [ "$code" -eq 78 ] && [ "$(wc -l <<<"$said")" -eq 1 ] && [[ $said == *"$2"* ]]
}
program_on() { ip -json -details link show dev "$1" | jq .[0].xdp.prog.id; }
answers() {
    local report
    report=$(pktgen --rate 1k --seconds 0.3) && same "$(field '.trial | [.sent > 0, .lost] | @csv' "$report")" "true,0"
}
before=$(program_on lb)
check "an interface of a running dataplane is refused" refuses lb "in use by fairlead-dataplane, process $dataplane"
check "its program stays" same "$(program_on lb)" "$before"
check "and the VIP answers" answers

long=$place/long.json
sent_before=$(($(sent_by gen) + 100))
pktgen --rate 1k --seconds 4 >"$long" &
first=$!
wait_until 10 sends gen
before=$(program_on gen)
check "so is one of a generator at work" refuses gen "in use by another fairlead-pktgen, process "
check "whose program stays" same "$(program_on gen)" "$before"
check "and which ends as it should" wait "$first"
check "having lost nothing" same "$(field .trial.lost "$(<"$long")")" 0

meanwhile backend add web 10.20.0.34 &
change=$!
report=$(pktgen --rate "$kRate" --seconds 3 --syn 2)
trial() { field ".trial$1" "$report"; }
note "at $kRate a second: $(jq -c '.trial | del(.latency_ns)' <<<"$report")"
note "latency, ns: $(jq -c .trial.latency_ns <<<"$report")"
note "backends: $(jq -c .backends <<<"$report")"
check "a backend is added meanwhile" wait "$change"
check "it gets flows that open later" same "$(field '.backends | length' "$report")" 4
check "every flow's first packet returns" same "$(field '.opening.returned' "$report")" "$kFlows"
check "the generator keeps its rate" compare "$(trial .achieved_pps)" ">=" "$kRate * 0.9"
check "everything returns" same "$(trial .lost)" 0
check "nothing returns twice" same "$(trial .duplicates)" 0
check "the backends' flows are those of the trial" same "$(field '[.backends[].flows] | add' "$report")" "$(trial .flows.sent)"
check "no flow moves" same "$(trial .flows.moved)" 0
check "latencies are reported, in order" same \
    "$(field '.trial.latency_ns | .min > 0 and ([.min, .p50, .p90, .p99, ."p99.9", .max] | . == sort)' "$report")" true

meanwhile backend remove web 10.20.0.33 --force &
change=$!
report=$(pktgen --rate "$kRate" --seconds 2.5)
note "moved: $(trial .flows.moved) of $(trial .flows.sent) flows; backends: $(jq -c .backends <<<"$report")"
check "a backend is taken away meanwhile" wait "$change"
check "that its flows move is seen" compare "$(trial .flows.moved)" ">" "$kFlows / 10"
check "and that the others' do not" compare "$(trial .flows.moved)" "<" "$kFlows / 2"
check "none is lost on the way" same "$(trial .lost)" 0

report=$(pktgen --rate "$kRate" --seconds 0.5 --size 1518)
check "so does everything in frames of 1518 bytes" same "$(field '.trial | [.sent > 0, .lost] | @csv' "$report")" "true,0"
fairlead service add dns --vip "$kVip" --port 53 --protocol udp --health none >/dev/null
fairlead backend add dns 10.20.0.31 >/dev/null
check "the dataplane has the second service" wait_until 10 agree
report=$(pktgen --protocol udp --vip-port 53 --imix --rate "$kRate" --seconds 0.5)
check "and everything of UDP in frames of three sizes" same "$(field '.trial | [.sent > 0, .lost] | @csv' "$report")" "true,0"
report=$(pktgen --search --loss 0 --rate 400k --trial-seconds 0.4 --resolution 25)
note "search: $(jq -c .search <<<"$report")"
check "a search ends with a throughput" compare "$(field .search.throughput_pps "$report")" ">" 0
check "the trial at that rate lost nothing" same "$(trial .lost)" 0
report=$("$programs/fairlead-pktgen" --port af_xdp:gen --gateway-mac "$kBalancerMac" --vip "$kVip" --flows 10 --idle backoff \
    --search --rate 5k --trial-seconds 0.2 --resolution 25 2>&1)
trials=$(sed -n 's/.*, \([0-9]*\) trials of .*/\1/p' <<<"$report")
check "each trial of a search is shown once" same "$(grep -c '^trial ' <<<"$report")" "$trials"
code=0
said=$("$programs/fairlead-pktgen" --port af_xdp:gen --gateway-mac "$kBalancerMac" --vip 198.51.100.99 --flows 10 --idle backoff \
    --rate 1k --seconds 0.2 2>&1 >/dev/null) || code=$?
note "$said"
check "that nothing comes back is an exit code" same "$code" 69
check "and a line that names the likely causes" grep -q "nothing came back of 10 packets.*198.51.100.99:80/tcp" <<<"$said"
finish
