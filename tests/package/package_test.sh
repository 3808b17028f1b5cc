#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The packages in a fresh Debian: a root made by debootstrap is booted with its own systemd (systemd-nspawn, its file system a
# tmpfs over the root), the packages are installed there, their units run as they ship, a real TCP connection goes through the
# balancer to a backend and is kept through restart, kill, watchdog and upgrade, and at the end nothing is left.
#
# usage: package_test.sh [RELEASE]    RELEASE: bookworm (default), or another that scripts/package.sh --release has built for.
# shellcheck disable=SC2016,SC2317  # what runs in the container is expanded there; check calls functions
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=../../scripts/debian/root.sh
source "$root/scripts/debian/root.sh"
release=${1:-bookworm}
test_name=package-$release
built=$root/build-package
[ $# -eq 0 ] || [ "$release" = bookworm ] || built=$root/build-package-$release
packages=${FAIRLEAD_PACKAGES:-$built/packages}
base=$root/build-package/roots/$release
# shellcheck source=../tap.sh
source "$root/tests/tap.sh"
# shellcheck source=../../scripts/wait.sh
source "$root/scripts/wait.sh"

fails() { ! quietly "$@"; }

if [ "$(id -u)" -ne 0 ]; then
    echo "ok - $test_name # SKIP needs root: it boots a container"
    exit 0
fi
for program in debootstrap systemd-nspawn; do
    command -v "$program" >/dev/null || { echo "ok - $test_name # SKIP needs $program: scripts/packages.sh package"; exit 0; }
done

work=$(mktemp -d)
readonly kPages=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
readonly kWork=/sys/devices/virtual/workqueue
# masks : to which CPUs this machine's interrupts and unbound work may come, "PATH:MASK" a line.
masks() { grep -sH . /proc/irq/[0-9]*/smp_affinity /proc/irq/default_smp_affinity "$kWork/cpumask" || true; }
pages_before=$(cat "$kPages")
masks_before=$(masks)
container=''
leader=''

# shellcheck disable=SC2317  # called by the trap
end() {
    local code=$? path mask
    if [ -n "$leader" ] && { [ "$is_done" != yes ] || [ "$failed_checks" -gt 0 ]; }; then
        inside journalctl -q --no-pager -u 'fairlead*' 2>/dev/null | tail -n 60 | sed 's/^/# /'
    fi
    if [ -n "$container" ] && kill -0 "$container" 2>/dev/null; then
        kill -TERM "$container"                # nspawn ends what runs in it
        for _ in $(seq 100); do kill -0 "$container" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$container" 2>/dev/null || true
        rmdir "/run/systemd/nspawn/propagate/fairlead-$$" 2>/dev/null || true   # what nspawn leaves where /run is not a tmpfs
    fi
    if [ "$is_done" != yes ]; then
        tail -n 5 "$work/console" "$work/dependencies" 2>/dev/null | sed 's/^/# /' || true
        echo "not ok - $test_name ended early (exit code $code)"
        code=1
    elif [ "$failed_checks" -gt 0 ]; then
        code=1
    fi
    [ "$(cat "$kPages")" = "$pages_before" ] || echo "$pages_before" >"$kPages"
    while IFS=: read -r path mask; do
        [ "$(cat "$path" 2>/dev/null)" = "$mask" ] || echo "$mask" >"$path" || true
    done <<<"$masks_before"
    rm -rf "$work"
    exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# inside COMMAND... : in the booted container, for 90 s at most.
inside() {
    timeout --foreground 90 nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}

package_of() { local found=("$packages/$1"_*_amd64.deb); echo "${found[0]}"; }
[ -f "$(package_of fairlead)" ] || { note "no packages in $packages: building them"; "$root/scripts/package.sh" --no-lint >"$work/build" 2>&1; }

dependencies() {
    local package
    for package in fairlead fairlead-backend; do dpkg-deb -f "$(package_of "$package")" Depends | tr ',' '\n'; done |
        sed -e 's/|.*//' -e 's/(.*//' | tr -d ' ' | sort -u
}

prepare_root() {
    make_root "$base" "$release" systemd systemd-sysv dbus iproute2 ethtool procps socat bird2 keepalived
    mapfile -t needed < <(dependencies)
    root_run "$base" -- env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --download-only "${needed[@]}" >"$work/download" 2>&1 ||
        { root_run "$base" -- apt-get update -q && root_run "$base" -- apt-get install -q -y --no-install-recommends --download-only "${needed[@]}"; } >"$work/download" 2>&1
}

boot() {
    # BPF is not among what a container may do by itself, and /sys/module, which DPDK looks for, not among what it sees.
    # Without timers: what Debian does at midnight, such as a copy of dpkg's state in /var/backups, is none of the packages' leavings.
    systemd-nspawn --register=no --keep-unit --private-network --volatile=overlay --timezone=off --resolv-conf=off --machine="fairlead-$$" \
        --capability=all --system-call-filter=bpf --bind-ro=/sys/module --bind="${kPages%/*/*}:/sys-hugepages" --bind="$kWork:/sys-workqueue" --bind-ro="$packages:/packages" --directory="$base" --boot systemd.mask=timers.target >"$work/console" 2>&1 </dev/null &
    container=$!
    wait_until 20 pgrep -P "$container" -x systemd || { note "the container does not boot"; return 1; }
    leader=$(pgrep -P "$container" -x systemd)
    wait_until 60 sh -c "nsenter --target $leader --mount --pid --root -- systemctl is-system-running | grep -qE 'running|degraded'"
}

# Everything but what is a mount of its own, and but what dpkg and its tools know and log, and keepalived (2.3) tells iproute2.
list_files() {
    inside find / /run /dev/shm /dev/hugepages -xdev \( -path /proc -o -path /sys -o -path /run/systemd -o -path /run/udev -o -path /var/lib/dpkg \
        -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /tmp -o -path /var/tmp -o -path /packages -o -path /run/dbus -o -path /etc/iproute2 -o -path /run/netns \) -prune -o -print 2>/dev/null | sort
}

# client, balancer (the container's own namespace) and backend on one bridge.
make_network() {
    inside sh -euc '
        for host in net client be; do ip netns add $host; ip -n $host link set lo up; done
        ip -n net link add br0 type bridge forward_delay 0 mcast_snooping 0
        ip -n net link set br0 up
        plug() { # PORT ADDRESS IP-OPTION...
            port=$1 address=$2; shift 2
            ip -n net link add $port numtxqueues 1 numrxqueues 1 mtu 1600 type veth peer name eth0 numtxqueues 1 numrxqueues 1 mtu 1600 netns "$peer"
            ip -n net link set $port master br0 up
            ip netns exec net ethtool -K $port tx off tso off gso off sg off >/dev/null
            ip "$@" addr add $address/24 dev eth0
            ip "$@" link set eth0 up
        }
        peer=1 plug lb 10.0.0.1; ethtool -K eth0 tx off tso off gso off sg off >/dev/null
        peer=client plug client 10.0.0.2 -n client; ip -n client route add 198.51.100.10 via 10.0.0.1
        ip netns exec client ethtool -K eth0 tx off tso off gso off sg off >/dev/null
        peer=be plug be 10.0.0.3 -n be; ip -n be addr add 198.51.100.10/32 dev lo
        ip netns exec net ethtool -K be gro on >/dev/null
        for setting in arp_ignore=1 arp_announce=2 rp_filter=0; do ip netns exec be sysctl -qw net.ipv4.conf.all.$setting net.ipv4.conf.eth0.rp_filter=0; done'
}

configure() {
    inside sh -euc '
        sed -i "s/^FAIRLEAD_DATAPLANE_OPTIONS=.*/FAIRLEAD_DATAPLANE_OPTIONS=\"--port af_xdp:eth0 --idle backoff --connections 65536\"/" /etc/fairlead/dataplane.env
        sed -e "s/10.20.0.11/10.0.0.1/" -e "s/10.20.0.31/10.0.0.3/" -e /10.20.0.32/d /usr/share/doc/fairlead/examples/fairlead.yaml >/etc/fairlead/fairlead.yaml
        chown root:fairlead /etc/fairlead/fairlead.yaml; chmod 640 /etc/fairlead/fairlead.yaml
        sed -e s/^BALANCERS=.*/BALANCERS=10.0.0.1/ /usr/share/doc/fairlead-backend/examples/backend.env >/etc/fairlead-backend/eth0.env
        mkdir -p /run/systemd/system/fairlead-backend@eth0.service.d
        printf "[Service]\nNetworkNamespacePath=/run/netns/be\n" >/run/systemd/system/fairlead-backend@eth0.service.d/place.conf
        usermod -aG fairlead alice
        systemctl daemon-reload'
}

property() { inside systemctl show -P "$2" "$1"; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }
# pid_of UNIT : fails, and says nothing, where it has no process.
pid_of() { property "$1" MainPID | grep -vx 0; }
signal() { local pid; pid=$(pid_of "$2") && inside kill "-$1" "$pid"; }    # signal NAME UNIT
user_of() { inside ps -o user= -p "$(pid_of "$1")"; }
capabilities_of() { inside sh -c "sed -n 's/^CapBnd:\t0*//p' /proc/$(pid_of "$1")/status"; }
restarts_of() { property "$1" NRestarts; }
agree() { inside fairlead status -o json | grep -q '"is_connected": *true' && inside fairlead status >/dev/null; }

# One real connection, kept open to the end: each line that goes in must come back.
open_connection() {
    inside sh -euc '
        mkfifo /tmp/to /tmp/from
        setsid ip netns exec be socat TCP-LISTEN:80,fork,reuseaddr EXEC:cat >/dev/null 2>&1 &
        for try in $(seq 50); do ip netns exec be ss -Htln | grep -q :80 && break; sleep 0.1; done
        setsid ip netns exec client bash -c "
            exec 3<>/dev/tcp/198.51.100.10/80 4<>/tmp/to
            while read -r line <&4; do
                back=; echo \"\$line\" >&3 && read -r -t 15 back <&3
                echo \"\$back\" >/tmp/from
            done" >/dev/null 2>&1 &'
}
asked=0
answers() {
    asked=$((asked + 1))
    inside timeout 20 bash -c 'echo "line $0" >/tmp/to; read -r line </tmp/from; [ "$line" = "line $0" ] || { echo "# asked line $0, got \"$line\""; exit 1; }' "$asked"
}

verify_units() {
    local unit
    check "systemd-analyze verify has nothing to say of dev-hugepages1G.mount" same "$(inside systemd-analyze verify --man=no dev-hugepages1G.mount 2>&1 | grep -E 'fairlead|1G' || true)" ''
    for unit in fairlead-dataplane.service fairleadd.service fairlead-backend@eth0.service fairlead-host.service fairlead-announce.service; do
        check "systemd-analyze verify has nothing to say of $unit" same "$(inside systemd-analyze verify --man=no "$unit" 2>&1 | grep -i fairlead || true)" ''
        note "$(inside systemd-analyze security --no-pager "$unit" 2>/dev/null | tail -1)"
        check "systemd-analyze security of $unit is below 3.0" inside systemd-analyze security --no-pager --threshold=29 "$unit" >/dev/null
    done
}

test_start() {
    check "nothing is started before it is configured" fails is_active fairlead-dataplane
    verify_units
    check "without ports the dataplane is refused" fails inside systemctl start fairlead-dataplane
    check "... by exit code 64" same "$(property fairlead-dataplane ExecMainStatus)" 64
    check "... and not started again" same "$(restarts_of fairlead-dataplane)" 0
    check "without a configuration fairleadd is refused" fails inside systemctl start fairleadd
    check "... by exit code 78" same "$(property fairleadd ExecMainStatus)" 78
    configure
    [ ! -d "${kPages%/*/*}/hugepages-1048576kB" ] || check "hugepages of 1 GB are mounted" inside sh -c 'systemctl start dev-hugepages1G.mount && mountpoint -q /dev/hugepages1G'
    check "the dataplane starts" inside systemctl start fairlead-dataplane
    [ ! -d "${kPages%/*/*}/hugepages-1048576kB" ] || check "... may have tables in hugepages of 1 GB" same "$(inside stat -c '%U %a' /dev/hugepages1G/fairlead)" "fairlead 700"
    check "it is the user fairlead's" same "$(user_of fairlead-dataplane)" fairlead
    check "... with NET_ADMIN, NET_RAW, IPC_LOCK and SYS_ADMIN alone" same "$(capabilities_of fairlead-dataplane)" 207000
    check "it says what it waits for" same "$(property fairlead-dataplane StatusText)" "waits for a generation from fairleadd, 1 worker(s) on 1 port(s)"
    check "fairleadd starts" inside systemctl start fairleadd
    check "... with NET_ADMIN alone" same "$(capabilities_of fairleadd)" 1000
    check "the dataplane runs what fairleadd wants" wait_until 10 agree
    check "fairlead status answers" inside fairlead status
    check "the backend's unit attaches its program" inside systemctl start fairlead-backend@eth0
    check "... and turns forwarding on" same "$(inside ip netns exec be sysctl -n net.ipv4.conf.eth0.forwarding)" 1
}

# The unit that prepares the machine, with no more than it is left: one hugepage more than there are, one CPU less for interrupts and the
# kernel's work, and back.
test_host() {
    local pages cpu
    pages=$(cat "$kPages")
    masks_before=$(masks)      # the kernel, or irqbalance, may have moved some since
    cpu=$(($(nproc --all) - 1))
    while inside umount /proc/sys/kernel/random/boot_id 2>/dev/null; do :; done     # what nspawn has there, not all mount namespaces see
    inside mount --bind /sys-hugepages "${kPages%/*/*}"     # a container's own is read-only
    inside mount --bind /sys-workqueue "$kWork"
    while inside umount /proc/irq 2>/dev/null; do :; done                           # over which nspawn has a read-only one
    inside sh -c 'echo "hugepages --size 2M --count $1" >/etc/fairlead/host.conf' sh $((pages + 1))
    [ "$cpu" -eq 0 ] || inside sh -c 'echo "cores --cpus $1" >>/etc/fairlead/host.conf' sh "$cpu"
    check "fairlead-host does what host.conf has" inside systemctl start fairlead-host
    check "... with NET_ADMIN and SYS_MODULE alone" same "$(property fairlead-host CapabilityBoundingSet)" "cap_net_admin cap_sys_module"
    check "... takes the hugepage" same "$(cat "$kPages")" $((pages + 1))
    [ "$cpu" -eq 0 ] || check "... takes CPU $cpu from the kernel's work" is_free "$cpu"
    check "... a second start has nothing to do" inside systemctl restart fairlead-host
    check "fairlead-host hugepages --undo gives it back" inside fairlead-host hugepages --undo
    check "... all of it" same "$(cat "$kPages")" "$pages"
    if [ "$cpu" -gt 0 ]; then
        check "fairlead-host cores --undo gives the CPU back" inside fairlead-host cores --undo
        check "... to all that it was taken from" same "$(masks)" "$masks_before"
    fi
    inside systemctl stop fairlead-host
    inside umount "${kPages%/*/*}" "$kWork"
}
# shellcheck source=../../scripts/host/cpus.sh
# To its end, which `grep -q` does not read to: a writer that is ended so fails the pipe.
is_free() { [ "$(host_root='' && source "$root/scripts/host/cpus.sh" && cpus_of_mask "$(cat "$kWork/cpumask")" | grep -cx "$1")" = 0 ]; }

test_access() {
    check "a member of the group may use the API" inside runuser -u alice -- fairlead status
    check "... and change something by it" inside runuser -u alice -- fairlead service set web --established-timeout 2h
    check "another user may not" fails inside runuser -u bob -- fairlead status
    check "a member of the group cannot read the state, which has the seed" fails inside runuser -u alice -- cat /var/lib/fairlead/state.json
    check "... nor reach the dataplane past fairleadd" fails inside runuser -u alice -- socat -u OPEN:/dev/null UNIX-CONNECT:/run/fairlead/dataplane.sock,type=5
}

says_where() { inside journalctl -q -u fairleadd --no-pager -n 20 | grep "fairlead.yaml:[0-9]"; }

test_reload() {
    local before
    before=$(inside fairlead get -o yaml)
    inside sed -i 's/port: 80/port: 99999/' /etc/fairlead/fairlead.yaml
    check "a reload of a wrong file fails" fails inside systemctl reload fairleadd
    check "... says where" wait_until 5 says_where
    check "... and changes nothing" same "$(inside fairlead get -o yaml)" "$before"
    inside sed -i -e 's/port: 99999/port: 80/' -e 's/name: web/name: shop/' /etc/fairlead/fairlead.yaml
    check "a reload of a good one" inside systemctl reload fairleadd
    check "... is applied" sh -c 'echo "$1" | grep -q "name: shop"' sh "$(inside fairlead get -o yaml)"
    inside sed -i -e 's/name: shop/name: web/' /etc/fairlead/fairlead.yaml
    inside systemctl reload fairleadd
    signal HUP fairleadd
    check "SIGHUP reloads it as well" wait_until 5 sh -c "nsenter --target $leader --mount --pid --root -- journalctl -q -u fairleadd --no-pager -n 20 | grep -q 'SIGHUP: .* applied'"
    check "... and it stays up" is_active fairleadd
}

test_connection() {
    local before
    open_connection
    check "a connection through the balancer answers" answers
    check "systemctl restart fairlead-dataplane" inside systemctl restart fairlead-dataplane
    check "... and the connection goes on" answers
    check "systemctl restart fairleadd" inside systemctl restart fairleadd
    check "... and the connection goes on" answers
    signal KILL fairlead-dataplane
    check "a killed dataplane is started again" wait_until 10 is_restarted fairlead-dataplane 1
    check "... and the connection goes on" answers
    before=$SECONDS
    signal STOP fairlead-dataplane
    check "one that hangs is, too, by the watchdog" wait_until 30 is_restarted fairlead-dataplane 2
    note "after $((SECONDS - before)) s"
    check "... and the connection goes on" answers
    signal STOP fairleadd
    check "so is a fairleadd that hangs" wait_until 60 is_restarted fairleadd 1
    check "... and they agree again" wait_until 10 agree
    check "systemctl reload fairlead-backend@eth0" inside systemctl reload fairlead-backend@eth0
    check "... and the connection goes on" answers
    # This test has started it more often within a minute than its unit lets anyone.
    inside systemctl reset-failed fairlead-dataplane fairleadd
    check "an upgrade" inside sh -c 'dpkg -i /packages/fairlead_*.deb /packages/fairlead-backend_*.deb >/dev/null 2>&1'
    check "... restarts what runs" wait_until 10 agree
    check "... and the connection goes on" answers
}
is_restarted() { [ "$(restarts_of "$1")" = "$2" ] && is_active "$1"; }

# What the examples of fairleadd.env speak to, with the lines that they have for it. They need of the unit's sandbox: programs, netlink and
# CAP_NET_ADMIN, files in /run/fairlead.
make_site() {
    inside cp /etc/fairlead/fairleadd.env /tmp/
    # Debian's own bird.conf with the lines of the example; the client's router is its neighbour.
    inside sh -euc '
        sed -n "s/^#   \(ipv4 table\|protocol kernel\) /\1 /p" /tmp/fairleadd.env >>/etc/bird/bird.conf
        peers() { echo "protocol bgp { local $1 as $2; neighbor $3 as $4; connect delay time 1; $5 }"; }
        peers 10.0.0.1 65001 10.0.0.2 65000 "$(sed -n "s/^#   ipv4 {/ipv4 {/p" /tmp/fairleadd.env)" >>/etc/bird/bird.conf
        systemctl restart bird
        { echo "router id 10.0.0.2; protocol device {}"; peers 10.0.0.2 65000 10.0.0.1 65001 "ipv4 { import all; export none; };"; } >/tmp/router.conf
        ip netns exec client bird -c /tmp/router.conf -s /tmp/router.ctl -P /tmp/router.pid
        for try in $(seq 100); do if birdc -s /tmp/router.ctl show protocols | grep -q Established; then exit 0; fi; sleep 0.1; done
        exit 1'
    inside sh -euc '
        cat >/etc/keepalived/keepalived.conf
        sed -n "s/^#   f /f /p" /tmp/fairleadd.env >/etc/tmpfiles.d/fairlead-keepalived.conf
        systemd-tmpfiles --create fairlead-keepalived.conf
        systemctl restart keepalived' <<END
track_file fairlead { file /run/fairlead/keepalived
    weight 0 }
vrrp_instance vips {
    version 3
    state BACKUP
    interface eth0
    virtual_router_id 51
    advert_int 0.1
    virtual_ipaddress { 10.0.0.99/32 }
    track_file { fairlead }
}
END
    sleep 2     # keepalived, which might announce, would have
}
end_site() { inside sh -c 'systemctl stop keepalived; rm /etc/keepalived/keepalived.conf /etc/tmpfiles.d/fairlead-keepalived.conf'; }
node_state() { inside fairlead status -o json | jq -r .node.state; }
bird_announces() { inside birdc -s /tmp/router.ctl show route | grep 198.51.100.0/24; }     # what the router has heard
keepalived_announces() { inside ip -4 addr show dev eth0 | grep 10.0.0.99/32; }
# use_example WORD : the one of fairleadd.env with that word, as it stands there.
use_example() {
    inside sh -euc 'grep -F "$1" /tmp/fairleadd.env | sed -n "s/^#   FAIRLEADD/FAIRLEADD/p" >/etc/fairlead/fairleadd.env
        [ "$(wc -l </etc/fairlead/fairleadd.env)" = 1 ]
        systemctl restart fairleadd' sh "$1"
}

# As docs/bare-metal.md has it.
test_node() {
    local example daemon
    check "BIRD, with a BGP neighbour, and keepalived run" make_site
    for example in keepalived:/run/fairlead/keepalived bird:/usr/sbin/ip; do
        daemon=${example%%:*}
        check "the example of fairleadd.env for $daemon" use_example "${example#*:}"
        check "... announces nothing by itself" fails "${daemon}_announces"
        check "... puts the node into routing" inside runuser -u alice -- fairlead node announce
        check "... which $daemon sees" wait_until 10 "${daemon}_announces"
        check "... takes it out" inside runuser -u alice -- fairlead node drain --keep-running --quiet-for 1s
        check "... which $daemon sees, too" wait_until 10 fails "${daemon}_announces"
        inside systemctl reload "$daemon"
        sleep 2
        check "... and a reload of $daemon leaves it out" fails "${daemon}_announces"
        check "... and in again" inside fairlead node announce
    done
    end_site
    check "a drain ends well" inside runuser -u alice -- fairlead node drain --quiet-for 2s
    check "... and takes the route away" wait_until 10 fails bird_announces
    check "both services end" wait_until 10 are_stopped
    check "... the dataplane with 0" same "$(property fairlead-dataplane Result) $(property fairlead-dataplane ExecMainStatus)" "success 0"
    check "... fairleadd with 0" same "$(property fairleadd Result) $(property fairleadd ExecMainStatus)" "success 0"
    check "... and neither is started again" are_stopped
    inside systemctl start fairlead-dataplane fairleadd
    check "started again they agree" wait_until 10 agree
    check "... the connection goes on" answers
    check "... but the node does not announce itself" same "$(node_state)" withdrawn
    inside systemctl start fairlead-announce
    check "... nor does fairlead-announce, which is for a boot" same "$(node_state)" withdrawn
    check "... until it is told to" inside fairlead node announce
    check "... and is routed again" wait_until 10 bird_announces
    inside sh -c 'systemctl stop fairlead-announce fairleadd fairlead-dataplane; ip route flush table 100'   # as a boot leaves it
    check "after a boot it is not" wait_until 10 fails bird_announces
    inside systemctl start --no-block fairlead-announce
    sleep 1
    inside systemctl start fairlead-dataplane fairleadd
    check "... until fairlead-announce, begun too soon, has seen it forward" wait_until 40 bird_announces
    check "... and has done its work" wait_until 5 is_active fairlead-announce
    check "the connection goes on" answers
}
are_stopped() { ! is_active fairlead-dataplane && ! is_active fairleadd; }

test_end() {
    inside systemctl enable fairlead-dataplane fairleadd fairlead-announce fairlead-backend@eth0 >/dev/null 2>&1
    check "remove" inside sh -c 'dpkg --remove fairlead fairlead-backend >/dev/null 2>&1'
    check "... ends the services" fails inside pgrep -f /usr/sbin/fairlead
    check "... takes the balancer's program off its interface" fails inside sh -c 'ip link show eth0 | grep xdp'
    check "... and the backend's" fails inside sh -c 'ip -n be link show eth0 | grep xdp'
    check "... which does not forward any more" same "$(inside ip netns exec be sysctl -n net.ipv4.conf.eth0.forwarding)" 0
    check "... leaves no memory in use" same "$(inside find /dev/shm /dev/hugepages /dev/hugepages1G /run/fairlead -name 'fairlead*' 2>/dev/null)" ''
    check "... and keeps the configuration" inside test -f /etc/fairlead/fairlead.yaml
    inside rm -rf /run/systemd/system/fairlead-backend@eth0.service.d
    check "purge" inside sh -c 'dpkg --purge fairlead fairlead-backend >/dev/null 2>&1'
    list_files >"$work/after"
    check "... leaves nothing" diff "$work/before" "$work/after"
}

prepare_root
boot
note "$(inside systemctl --version | head -1) in $release, kernel $(uname -r)"
check "no timer of Debian's own runs" same "$(inside systemctl list-timers --no-legend)" ''
inside sh -c 'apt-get install -q -y --no-install-recommends --no-download "$@"' sh "${needed[@]}" >"$work/dependencies" 2>&1
inside sh -c 'useradd alice; useradd bob; ldconfig'
make_network
list_files >"$work/before"
check "dpkg -i" inside sh -c 'dpkg -i /packages/fairlead_*.deb /packages/fairlead-backend_*.deb'
test_start
test_host
test_access
test_reload
test_connection
test_node
test_end
finish
