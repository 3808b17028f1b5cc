# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's network: one namespace per host, two bridges in the router's. Sourced by scripts/lab.sh.

in_host() {
    local host=$1
    shift
    ip netns exec "$(namespace_of "$host")" "$@"
}

ip_in() {
    local host=$1
    shift
    ip -n "$(namespace_of "$host")" "$@"
}

make_namespace() {
    local host=$1
    ip netns add "$(namespace_of "$host")"
    mkdir -p "$(host_directory "$host")"
    # rp_filter: a backend sees packets whose route back is another way. Redirects would teach hosts to bypass the router.
    in_host "$host" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
        net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
        net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.default.accept_redirects=0 \
        net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
    ip_in "$host" link set lo up
}

# plug HOST INTERFACE ADDRESS PREFIX PORT BRIDGE MTU : a cable from the host's interface to a port of the router's bridge.
# One queue on both sides: AF_XDP binds to one, and a frame in another would never reach it.
plug() {
    local host=$1 interface=$2 address=$3 prefix=$4 port=$5 bridge=$6 mtu=$7 router
    router=$(namespace_of router)
    ip -n "$router" link add "$port" numtxqueues 1 numrxqueues 1 mtu "$mtu" type veth \
        peer name "$interface" address "$(mac_of "$address")" numtxqueues 1 numrxqueues 1 mtu "$mtu" \
        netns "$(namespace_of "$host")"
    ip -n "$router" link set "$port" master "$bridge" up
    ip_in "$host" addr add "$address/$prefix" dev "$interface"
    ip_in "$host" link set "$interface" up
}

# plain_frames HOST INTERFACE : what leaves here is finished frames of at most one MTU, checksums filled in. A veth
# otherwise hands on half-made ones (TSO, checksum offload), which a reader below the kernel's stack cannot use.
plain_frames() {
    in_host "$1" ethtool -K "$2" tx off tso off gso off sg off >/dev/null 2>&1
}

make_router() {
    make_namespace router
    ip_in router link add clients mtu "$kClientMtu" type bridge forward_delay 0 mcast_snooping 0
    ip_in router link add servers mtu "$kServerMtu" type bridge forward_delay 0 mcast_snooping 0
    ip_in router addr add "$kRouterClientAddress/16" dev clients
    ip_in router addr add "$kRouterServerAddress/16" dev servers
    ip_in router link set clients up
    ip_in router link set servers up
    in_host router sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.fib_multipath_hash_policy=1
}

make_client() {
    local host=$1 address
    make_namespace "$host"
    plug "$host" eth0 "$(host_address "$host")" 16 "$host" clients "$kClientMtu"
    for address in $(client_addresses "$host" | tail -n +2); do
        ip_in "$host" addr add "$address/16" dev eth0
    done
    ip_in "$host" route add default via "$kRouterClientAddress"
    # 64,000 ports for each of its addresses towards one VIP and port.
    in_host "$host" sysctl -q -w net.ipv4.ip_local_port_range="1024 65535"
}

make_balancer() {
    local host=$1 worker=0 port
    make_namespace "$host"
    # Several ports in one network: each answers ARP for its own address alone.
    in_host "$host" sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.default.arp_ignore=1 \
        net.ipv4.conf.all.arp_announce=2 net.ipv4.conf.default.arp_announce=2
    for port in $(router_ports "$host"); do
        plug "$host" "eth$worker" "$(host_address "$host" "$worker")" 16 "$port" servers "$kServerMtu"
        plain_frames router "$port"
        plain_frames "$host" "eth$worker"
        # A queue before the cable: a full veth ring then holds packets back (Linux 6.16 and later) instead of losing them.
        in_host router tc qdisc add dev "$port" root pfifo limit 10000
        worker=$((worker + 1))
    done
    ip_in "$host" route add default via "$kRouterServerAddress"
}

make_backend() {
    local host=$1 vip
    make_namespace "$host"
    # The VIPs are here to be answered from, never to be announced: ARP for them belongs to nobody.
    in_host "$host" sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 \
        net.core.somaxconn=65535 net.ipv4.tcp_max_syn_backlog=65535
    plug "$host" eth0 "$(host_address "$host")" 16 "$host" servers "$kServerMtu"
    plain_frames router "$host"
    # The link has room for encapsulated packets; what the server itself sends stays within the clients' MTU.
    ip_in "$host" route add default via "$kRouterServerAddress" mtu "$kClientMtu"
    for vip in "${kVips[@]}"; do
        ip_in "$host" addr add "$vip/32" dev lo
    done
    # A veth runs what XDP sends back (XDP_TX) only while its peer has GRO on.
    in_host router ethtool -K "$host" gro on >/dev/null 2>&1 || true
}

make_network() {
    local host
    make_router
    for host in $(clients); do make_client "$host"; done
    for host in $(balancers); do make_balancer "$host"; done
    for host in $(backends); do make_backend "$host"; done
}

# set_links HOST up|down : at the router's end. The host finds its cable dead, and to all others it is silent.
set_links() {
    local port
    for port in $(router_ports "$1"); do
        ip_in router link set "$port" "$2"
    done
}

remove_network() {
    local host
    for host in $(hosts); do
        ip netns del "$(namespace_of "$host")" 2>/dev/null || true
    done
}
