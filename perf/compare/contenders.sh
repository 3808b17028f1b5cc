# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Who balances in the lab, each in a lab of its own and all with the same clients, router and nginx backends, behind the same
# address: nobody (the client asks a backend itself), HAProxy, nginx and Fairlead. Sourced by perf/compare.sh.
#
# A contender is begun by begin_CONTENDER, which sets target (what the clients ask) and balancer_pids, and ends with its lab.

readonly kContenders=(none haproxy nginx fairlead)
readonly kVip=198.51.100.10
readonly kBackends=4
readonly kProxyConnections=4096      # far more than the load has; each takes two descriptors

balancer_pids=()
target=''

lab_hosts() { echo router client1 lb1; seq -f 'be%g' 1 "$kBackends"; }

begin_contender() {
    local contender=$1
    balancer_pids=()
    target=http://$kVip/
    "begin_$contender"
    place_packet_work
    wait_until 10 target_answers || die "$contender: $target does not answer; $(tail -n 1 "$work/$contender.log" 2>/dev/null)"
}

target_answers() { lab run client1 curl -s -o /dev/null --fail --max-time 1 "$target"; }

# begin_lab OPTION... : all of it on the CPUs that are not the balancer's, as compare.sh itself.
begin_lab() {
    "$root/scripts/lab.sh" up --name "$lab_name" --owner "$$" --backends "$kBackends" "$@" >/dev/null
}

# begin_plain_lab : hosts without Fairlead's programs, and with what Fairlead's lab switches off for AF_XDP's sake: the
# kernel's own paths get checksums and segments left undone, as they are used to.
begin_plain_lab() {
    local host device
    begin_lab --programs none
    for host in lb1 $(seq -f 'be%g' 1 "$kBackends"); do
        lab run router ethtool -K "$host" tx on sg on tso on gso on >/dev/null 2>&1
        device=eth0
        lab run "$host" ethtool -K "$device" tx on sg on tso on gso on >/dev/null 2>&1
    done
}

begin_none() {
    begin_plain_lab
    target=http://10.20.0.31/
}

# begin_proxy NAME COMMAND... : on the balancer's host and core, behind the VIP.
begin_proxy() {
    local name=$1
    shift
    lab run lb1 ip address add "$kVip/32" dev lo
    # A connection of its own to a backend for each of a client's: ports must not be what limits them.
    lab run lb1 sysctl -q -w net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1 \
        net.core.somaxconn=65535 net.ipv4.tcp_max_syn_backlog=65535
    "$root/scripts/lab.sh" run --name "$lab_name" lb1 taskset -c "$balancer_cpu" "$@" >"$work/$name.log" 2>&1 &
    balancer_pids=("$!")
}

begin_haproxy() {
    local number
    begin_plain_lab
    {
        cat <<END
global
    nbthread 1
    maxconn $kProxyConnections
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend web
    bind $kVip:80 backlog 65535
    default_backend servers
backend servers
    balance roundrobin
END
        for number in $(seq 1 "$kBackends"); do echo "    server be$number 10.20.0.$((30 + number)):80"; done
    } >"$work/haproxy.cfg"
    begin_proxy haproxy haproxy -db -f "$work/haproxy.cfg"
}

begin_nginx() {
    local number
    begin_plain_lab
    {
        cat <<END
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes 1;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log warn;
events {
    worker_connections $((kProxyConnections * 2));
    multi_accept on;
}
stream {
    upstream servers {
END
        for number in $(seq 1 "$kBackends"); do echo "        server 10.20.0.$((30 + number)):80;"; done
        cat <<END
    }
    server {
        listen $kVip:80 backlog=65535;
        proxy_pass servers;
    }
}
END
    } >"$work/nginx.conf"
    begin_proxy nginx nginx -e "$work/nginx.log" -c "$work/nginx.conf"
}

# begin_fairlead : as anybody runs it where cores are not dedicated (--idle backoff), with its control plane on the same core.
# The lab gives the dataplane a real-time priority, since there it shares all cores; here it has one, as the proxies have.
begin_fairlead() {
    local program pid number
    begin_lab --programs "$programs" --workers 1 --idle backoff
    for program in fairlead-dataplane fairleadd; do
        read -r pid _ <"$(lab directory lb1)/$program.pid"
        balancer_pids+=("$pid")
        taskset -a -cp "$balancer_cpu" "$pid" >/dev/null
        chrt --all-tasks --other --pid 0 "$pid"
        for number in "/proc/$pid/task"/*; do renice -n 0 -p "${number##*/}" >/dev/null; done
    done
    move_port_work
    lab run lb1 fairlead service add web --vip "$kVip" --port 80 --protocol tcp >/dev/null
    for number in $(seq 1 "$kBackends"); do
        lab run lb1 fairlead backend add web "10.20.0.$((30 + number))" >/dev/null
    done
}

# move_port_work : what the kernel does for AF_XDP on the balancer's port (its NAPI: the steering program, the copy into the
# socket's ring) is the balancer's work, yet would run on the CPU of whoever sends. A thread of its own moves to its core.
move_port_work() {
    local thread before
    before=$(pgrep '^napi/eth0-' || true)       # another namespace's eth0 is somebody else's
    lab run lb1 sh -c 'echo 1 >/sys/class/net/eth0/threaded'
    for thread in $(pgrep '^napi/eth0-'); do
        if [[ $'\n'$before$'\n' != *$'\n'"$thread"$'\n'* ]]; then taskset -cp "$balancer_cpu" "$thread" >/dev/null; fi
    done
}

# place_packet_work : receive work that follows no thread goes to the balancer's core on the balancer's host, and to the
# others everywhere else (RPS). Without it a veth's receiver works on its sender's CPU, and on its account.
place_packet_work() {
    local host mask
    for host in $(lab_hosts); do
        mask=$(cpu_mask "${other_cpus[@]}")
        [ "$host" != lb1 ] || mask=$(cpu_mask "$balancer_cpu")
        # shellcheck disable=SC2016
        lab run "$host" sh -c 'for queue in /sys/class/net/*/queues/rx-*/rps_cpus; do echo "$1" >"$queue"; done' sh "$mask"
    done
}

end_contender() { lab down >/dev/null; balancer_pids=(); }
