#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# AF_XDP at 50,000 packets a second: nothing is lost, and all who count agree on how many there were.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

readonly kRate=50000
readonly kSeconds=10
lab_begin --backends 2
fairlead service add sink --vip "$kVip" --port 7000 --protocol udp >/dev/null
for number in 1 2; do
    fairlead backend add sink "10.20.0.$((30 + number))" >/dev/null
    listen_begin "be$number" "$kVip" 7000 --silent
done
check "both agree before the start" wait_until 10 agree
sent_before=$(lab run router cat /sys/class/net/lb1/statistics/tx_packets)

load=$(lab run client1 udp_load "$kVip" 7000 --rate "$kRate" --seconds "$kSeconds" --flows 512 --one-way)
note "sent: $load"
sent=$(field .sent "$load")
check "the sender kept its rate" compare "$(field .rate "$load")" ">=" "$((kRate * 98 / 100))"
sleep 1

statistics=$(fairlead stats -o json)
service=$(field '.services[] | select(.name == "sink") | .packets' "$statistics")
forwarded=$(field '[.backends[] | select(.service == "sink") | .packets] | add' "$statistics")
cable=$(($(lab run router cat /sys/class/net/lb1/statistics/tx_packets) - sent_before))
note "drops: $(jq -c '[.drops[] | {(.reason): .packets}] | add' <<<"$statistics")"
note "the balancer's port: $(lab run lb1 ethtool -S eth0 | grep -E 'xdp|drop' | tr -s ' \n' ' ')"
listen_end
note "sinks: ${listener_answers//$'\n'/ }"
received=$(jq -s 'map(.received) | add // 0' <<<"$listener_answers")
note "sent $sent, on the balancer's cable $cable, for the service $service, forwarded $forwarded, received $received"
check "every packet reached the dataplane" same "$service" "$sent"
check "every packet was forwarded" same "$forwarded" "$sent"
check "every packet arrived" same "$received" "$sent"
finish
