#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2317  # functions that check calls
# AF_XDP at 50,000 packets a second for 60 s, with 600 generations pushed by the CLI meanwhile: nothing is lost, and all
# who count agree on how many there were.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

readonly kRate=50000
readonly kSeconds=60
readonly kGenerations=600 # generations_test.sh pushes 1,000; here the CLI, the sender and the sinks share what the dataplane leaves
lab_begin --backends 2
fairlead service add sink --vip "$kVip" --port 7000 --protocol udp >/dev/null
for number in 1 2; do
    fairlead backend add sink "10.20.0.$((30 + number))" >/dev/null
    listen_begin "be$number" "$kVip" 7000 --silent
done
check "both agree before the start" wait_until 10 agree
# Its probes would be on the cable too. The next hops stay as they are.
lab kill router liveness

# on_cable : packets that the router has put on the balancer's cable; port COUNTER : one of the balancer's end of it.
on_cable() { lab run router cat /sys/class/net/lb1/statistics/tx_packets; }
port() { lab run lb1 ethtool -S eth0 | awk -v name="rx_queue_0_$1:" '$1 == name {print $2}'; }
stolen() { awk '$1 == "cpu" { print $9 }' /proc/stat; }
stolen_before=$(stolen)
cable_before=$(on_cable)
seen_before=$(port xdp_packets)
redirected_before=$(port xdp_redirect)
started=$(status_of .generation)

begin=$EPOCHREALTIME
push sink 2 "$kGenerations" "$((kSeconds * 1000000 / kGenerations))" &
pusher=$!
load=$(lab run client1 udp_load "$kVip" 7000 --rate "$kRate" --seconds "$kSeconds" --flows 512 --one-way)
note "sent: $load"
check "each push was accepted" wait "$pusher"
seconds=$(jq -n "($EPOCHREALTIME - $begin) * 10 | round / 10")
pushed=$(($(status_of .generation) - started))
note "$pushed generations; all in $seconds s"
sent=$(field .sent "$load")
check "the sender kept its rate" compare "$(field .rate "$load")" ">=" "$((kRate * 98 / 100))"
check "$kGenerations generations were made meanwhile" compare "$pushed" ">=" "$kGenerations"
check "they took at most 20 % longer" compare "$seconds" "<=" "$kSeconds * 1.2"
check "the dataplane runs the last" wait_until 5 agree

# Everything that was sent has been counted once the last counter stands still; what is still missing then is lost.
statistics=$(fairlead stats -o json)
service_packets() { field '.services[] | select(.name == "sink") | .packets' "$statistics"; }
# shellcheck disable=SC2016  # for eval
wait_until 5 eval 'statistics=$(fairlead stats -o json) && [ "$(service_packets)" -ge "$sent" ]' || true
service=$(service_packets)
forwarded=$(field '[.backends[] | select(.service == "sink") | .packets] | add' "$statistics")
cable=$(($(on_cable) - cable_before))
seen=$(($(port xdp_packets) - seen_before))
redirected=$(($(port xdp_redirect) - redirected_before))
note "drops: $(jq -c '[.drops[] | {(.reason): .packets}] | add' <<<"$statistics")"
note "the balancer's port: $(lab run lb1 ethtool -S eth0 | grep -E 'xdp|drop' | tr -s ' \n' ' ')"
listen_end
note "sinks: ${listener_answers//$'\n'/ }"
received=$(jq -s 'map(.received) | add // 0' <<<"$listener_answers")
note "the hypervisor took $(($(stolen) - stolen_before)) ticks of both CPUs meanwhile; the driver's queue holds 41 ms"
note "sent $sent, on the balancer's cable $cable (seen by XDP $seen), redirected $redirected, for the service $service, \
forwarded $forwarded, received $received"
check "the port lost nothing of what was on the cable" same "$seen" "$cable"
check "what XDP did not redirect was ARP and the like" compare "$cable - $redirected" "<=" 100
check "every packet was redirected to the dataplane" same "$redirected" "$sent"
check "every packet reached the dataplane" same "$service" "$sent"
check "every packet was forwarded" same "$forwarded" "$sent"
check "every packet arrived" same "$received" "$sent"
for reason in rx_missed tx_full; do
    check "no drop $reason" same "$(field "[.drops[] | select(.reason == \"$reason\") | .packets] | add // 0" "$statistics")" 0
done
finish
