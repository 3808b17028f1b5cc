#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2317  # functions that check calls
# Real clients through the VIP to real servers and back: HTTP small and large, both ways, byte by byte; UDP up to the MTU.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

lab_begin --backends 3
serve_web 3
client() { lab run client1 "$@"; }

for number in 1 2 3; do
    [ -f "$(lab directory)/large" ] || head -c 64M /dev/urandom >"$(lab directory)/large"
    ln "$(lab directory)/large" "$(lab directory "be$number")/www/files/large"
done
wanted=$(sha256sum <"$(lab directory)/large")
download() { client curl -sS --max-time 30 "http://$kVip/files/large" | sha256sum; }
upload() { client curl -sS --fail --max-time 30 -o /dev/null -T "$(lab directory)/upload" "http://$kVip/upload/$1"; }
uploaded() { cat "$(lab directory)"/be*/www/upload/"$1" | sha256sum; }

bytes_before=$(stats '[.workers[].forwarded_bytes] | add')
check "a download of 64 MB arrives byte by byte" same "$(download)" "$wanted"
bytes=$(($(stats '[.workers[].forwarded_bytes] | add') - bytes_before))
note "of that download the balancer forwarded $bytes bytes: the client's half"
check "replies do not pass through the balancer" compare "$bytes" "<" 8000000

head -c 32M /dev/urandom >"$(lab directory)/upload"
wanted_upload=$(sha256sum <"$(lab directory)/upload")
check "an upload of 32 MB is accepted" upload gue
check "it arrived byte by byte" same "$(uploaded gue)" "$wanted_upload"

fairlead service set web --forwarding ipip >/dev/null
check "the dataplane forwards by IPIP" wait_until 10 agree
check "a download of 64 MB over IPIP arrives byte by byte" same "$(download)" "$wanted"
check "an upload of 32 MB over IPIP is accepted" upload ipip
check "over IPIP it arrived byte by byte" same "$(uploaded ipip)" "$wanted_upload"
fairlead service set web --forwarding gue >/dev/null
check "the dataplane forwards by GUE again" wait_until 10 agree

load_begin client1 "$kVip"
load_ask 60 "short 3000 16"
note "3000 connections: $(jq -c .short.backends <<<"$load_answer")"
check "each of 3000 new connections is served" same "$(field .short.answers)" 3000
check "each backend takes some" same "$(field '.short.backends | length')" 3
load_ask 5 stop
load_abandon

check "what is not for a VIP reaches the balancer's kernel" quietly client ping -q -c 3 -i 0.2 -W 1 10.20.0.11
check "a VIP without a service is not answered" \
    compare "$(client curl -s --max-time 1 -o /dev/null -w '%{http_code}' http://198.51.100.11/ || true)" == 0

fairlead service add echo --vip "$kVip" --port 5353 --protocol udp >/dev/null
for number in 1 2 3; do
    fairlead backend add echo "10.20.0.$((30 + number))" >/dev/null
    listen_begin "be$number" "$kVip" 5353
done
check "the dataplane forwards the second service" wait_until 10 agree
for size in 32 512 1472; do
    answer=$(client udp_load "$kVip" 5353 --flows 64 --rate 2000 --seconds 1 --size "$size")
    note "UDP, $size bytes: $answer"
    check "UDP of $size bytes comes back whole" same "$(field '[.sent == 2000, .lost, .wrong, .moved] | @csv' "$answer")" "true,0,0,0"
done
check "UDP flows spread over the backends" same "$(field '.backends | length' "$answer")" 3
check "the dataplane names no drop" same "$(stats '[.drops[] | select(.packets > 0 and .reason != "no_service") | .reason] | join(" ")')" ""
finish
