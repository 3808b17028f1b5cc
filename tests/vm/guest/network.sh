# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154  # nics.sh, case.sh
# The guest's network. The kernel's NIC of each pair is a port of one bridge, on which client, backends and the balancer's
# control plane are, too: what a client sends to a VIP leaves by the NIC whose twin has the VIP's service.
#
#   client 10.0.0.101 --.                   .-- wire to e1000e's twin,     VIP 198.51.100.11 --.
#   be1    10.0.0.31  --+-- bridge (lan) --+-- wire to vmxnet3's twin,    VIP 198.51.100.12 --+-- fairlead-dataplane
#   ..be4  10.0.0.34  --+                   +-- wire to virtio's twin,     VIP 198.51.100.13 --+
#   lb     10.0.0.11  --'                   '-- wire to virtio-rss's twin, VIP 198.51.100.14 --'
#
# Sourced by case.sh.

readonly kBackendCount=4
declare -rA kVip=([e1000e]=198.51.100.11 [vmxnet3]=198.51.100.12 [virtio]=198.51.100.13 [virtio-rss]=198.51.100.14)
readonly kBalancerAddress=10.0.0.11 kClientAddress=10.0.0.101
# Encapsulated packets must fit the NICs' 1500 bytes.
readonly kClientMtu=1400

host() { ip netns exec "$@"; }
# plug HOST ADDRESS : a cable from the host's eth0 to the bridge.
plug() {
    ip -n lan -batch - <<END
link add $1 type veth peer name eth0 netns $1
link set $1 master lan up
END
    ip -n "$1" -batch - <<END
link set lo up
addr add $2/24 dev eth0
link set eth0 up
END
    host "$1" ethtool -K eth0 tx off >/dev/null 2>&1
}

make_lan() {
    local pair interface
    ip netns add lan
    ip -n lan link add lan type bridge forward_delay 0 mcast_snooping 0
    ip -n lan link set lan up
    for pair in "${kPairs[@]}"; do
        interface=$(interface_of "${kTwinAddress[$pair]}")
        ip link set "$interface" netns lan
        ip -n lan link set "$interface" name "to-$pair" master lan up
        # Where its twin is: the bridge never has to ask, whoever has its driver.
        bridge -n lan fdb replace "${kNicMac[$pair]}" dev "to-$pair" master static
    done
}

make_client() {
    local pair
    ip netns add client
    plug client "$kClientAddress"
    ip -n client route add 198.51.100.0/24 dev eth0 mtu "$kClientMtu" advmss $((kClientMtu - 40))
    for pair in "${kPairs[@]}"; do
        echo "neigh replace ${kVip[$pair]} lladdr ${kNicMac[$pair]} nud permanent dev eth0"
    done | ip -n client -batch -
}

# make_backend NUMBER : a web server and the backend's program, with all VIPs.
make_backend() {
    local name=be$1 pair
    ip netns add "$name"
    host "$name" sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
    plug "$name" "10.0.0.$((30 + $1))"
    for pair in "${kPairs[@]}"; do echo "addr add ${kVip[$pair]}/32 dev lo"; done | ip -n "$name" -batch -
    host "$name" "$programs/fairlead-backend" attach --interface eth0 --allow-balancer "$kBalancerAddress" \
        --vip "${kVip[@]}" >>"$kRun/$name.log" 2>&1
    mkdir -p "/run/$name"
    cat >"/run/$name/nginx.conf" <<END
daemon off;
user root;
pid /run/$name/pid;
error_log /run/vm/$name.nginx.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
    client_body_temp_path /run/$name/body;
    proxy_temp_path /run/$name/proxy;
    fastcgi_temp_path /run/$name/fastcgi;
    uwsgi_temp_path /run/$name/uwsgi;
    scgi_temp_path /run/$name/scgi;
    server {
        listen 80 backlog=1024;
        add_header X-Backend $name always;
        location / { return 200 "$name \$request_uri\n"; }
    }
}
END
    launch "$name.nginx" ip netns exec "$name" nginx -e "/run/vm/$name.nginx.log" -c "/run/$name/nginx.conf"
}

answers() { host client curl -s -o /dev/null --fail --max-time 1 "http://$1/"; }
vip_answers() { answers "${kVip[$1]}"; }

load_drivers() { modprobe -a veth bridge tun e1000e vmxnet3 virtio_net; }      # there is no udev to do it

# need_network : all of it, once.
need_network() {
    local number making=()
    [ ! -e /run/netns/lan ] || return 0
    load_drivers
    sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
    make_lan
    for ((number = 1; number <= kBackendCount; ++number)); do
        make_backend "$number" &
        making+=("$!")
    done
    make_client
    for number in "${making[@]}"; do wait "$number"; done
    # The control plane's own way to the backends: it probes them, and learns their link-layer addresses.
    ip -n lan link add lb type veth peer name lb netns 1
    ip -n lan link set lb master lan up
    ip addr add "$kBalancerAddress/24" dev lb
    ip link set lb up
    for ((number = 1; number <= kBackendCount; ++number)); do
        wait_until 20 curl -s -o /dev/null --fail --max-time 1 "http://10.0.0.$((30 + number))/"
    done
}

# What a probe may take: sooner than TCP would send its SYN again, or a neighbour be asked for once more.
soon_s=0.4
# soon_answers PAIR : whether a connection is made so soon; a shell starts faster than curl.
soon_answers() { nsenter --net=/run/netns/client timeout "$soon_s" bash -c ": </dev/tcp/${kVip[$1]}/80" 2>/dev/null; }

# allow_for_pace PAIR : to be called while its VIP answers. What is timed here is mostly programs that start, and emulation on a busy host starts
# them slowly: where a probe takes longer than on an idle one, two seconds (soon_ms) and a probe's patience are as much longer, up to kSoonMax_ms.
readonly kSoonMax_ms=6000
readonly kQuietProbe_ms=400      # the slowest of three; 220 to 390 were seen
soon_ms=2000
allow_for_pace() {
    local began took worst=0
    soon_s=5
    for _ in 1 2 3; do
        began=$(now_ms)
        check "$1: a probe answers" soon_answers "$1"
        took=$(($(now_ms) - began))
        worst=$((took > worst ? took : worst))
    done
    soon_ms=$((worst > kQuietProbe_ms ? 2000 * worst / kQuietProbe_ms : 2000))
    soon_ms=$((soon_ms < kSoonMax_ms ? soon_ms : kSoonMax_ms))
    soon_s=$((soon_ms / 5000)).$(printf '%03d' $((soon_ms / 5 % 1000)))
    note "a probe takes $worst ms"
}

# time_until SECONDS COMMAND... : prints the milliseconds until it succeeds, from $since (now).
time_until() {
    local began=${since:-$(now_ms)} patience=$1
    shift
    until "$@"; do
        [ $(($(now_ms) - began)) -lt $((patience * 1000)) ] || return 1
    done
    echo $(($(now_ms) - began))
}
