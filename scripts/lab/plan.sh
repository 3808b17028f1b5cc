# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's plan: which hosts there are, and their names, addresses and directories. Pure functions of the lab's name and
# size; nothing here changes anything. Sourced by scripts/lab.sh.
#
#   clients 10.10.0.0/16, MTU 1500            servers 10.20.0.0/16, MTU 1600 (room for the encapsulation)
#   client1 10.10.1.1 .. 10.10.1.8  --.                    .--  lb1 10.20.0.11  (worker 1's port: 10.20.1.11)
#   client2 10.10.2.1 .. 10.10.2.8  --+-- router (.0.1) --+--  lb2 10.20.0.12
#                                                          +--  be1 10.20.0.31, the VIPs on lo
#                                                          '--  be2 10.20.0.32
# VIPs are in 198.51.100.0/24, which the router sends to the balancers.

readonly kLabRoot=${FAIRLEAD_LAB_ROOT:-/run/fairlead-lab}
readonly kTableRoot=/dev/shm/fairlead-lab   # connection tables, which must not be on a disk
readonly kClientMtu=1500
readonly kServerMtu=1600
readonly kVipNetwork=198.51.100.0/24
readonly kVips=(198.51.100.10 198.51.100.11 198.51.100.12 198.51.100.13)
readonly kRouterClientAddress=10.10.0.1
readonly kRouterServerAddress=10.20.0.1
readonly kAddressesPerClient=8
readonly kBalancerCountMax=20   # .11 to .30
readonly kBackendCountMax=200   # .31 to .230
readonly kClientCountMax=100
readonly kWorkerCountMax=8

# Set by lab.sh's arguments or read back from the lab's directory.
lab_name=lab
balancer_count=1
backend_count=4
client_count=1
worker_count=1
ecmp=resilient
idle=backoff
servers=nginx          # or haproxy: what answers on the VIPs' port 80
dataplane_options=''   # more words for its command line
backend_options=''     # more words for `fairlead-backend attach`
programs=''            # directory of Fairlead's programs; "none": hosts without them

lab_directory() { echo "$kLabRoot/$lab_name"; }
host_directory() { echo "$kLabRoot/$lab_name/$1"; }
table_directory() { echo "$kTableRoot/$lab_name/$1"; }
namespace_of() { echo "$lab_name-$1"; }
host_kind() { echo "${1%%[0-9]*}"; }
host_number() { echo "${1##*[a-z]}"; }

balancers() { seq -f 'lb%g' 1 "$balancer_count"; }
backends() { seq -f 'be%g' 1 "$backend_count"; }
clients() { seq -f 'client%g' 1 "$client_count"; }
hosts() { echo router; clients; backends; balancers; }

# host_address HOST [WORKER] : the address that others know it by.
host_address() {
    local number
    number=$(host_number "$1")
    case $(host_kind "$1") in
        client) echo "10.10.$number.1" ;;
        lb) echo "10.20.${2:-0}.$((10 + number))" ;;
        be) echo "10.20.0.$((30 + number))" ;;
        router) echo "$kRouterServerAddress" ;;
    esac
}

client_addresses() {
    seq -f "10.10.$(host_number "$1").%g" 1 "$kAddressesPerClient"
}

# router_ports HOST : the router's ends of its cables.
router_ports() {
    local worker
    echo "$1"
    [ "$(host_kind "$1")" = lb ] || return 0
    for worker in $(seq 1 $((worker_count - 1))); do echo "$1-$worker"; done
}

# mac_of IPV4 : a locally administered MAC address that shows the address in a capture.
mac_of() {
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    printf '02:00:%02x:%02x:%02x:%02x\n' "$a" "$b" "$c" "$d"
}

# Programs that a host runs, in the order in which they start.
host_programs() {
    case $(host_kind "$1") in
        router) echo liveness ;;
        be)
            echo nginx
            if [ "$servers" = haproxy ]; then echo haproxy; fi
            ;;
        lb) [ "$programs" = none ] || echo fairlead-dataplane fairleadd ;;
    esac
}
