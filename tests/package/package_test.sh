#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The packages in a fresh Debian: a root made by debootstrap is booted with its own systemd (systemd-nspawn, its file system a
# tmpfs over the root), the packages are installed there, their units run as they ship, a real TCP connection goes through the
# balancer to a backend and is kept through restart, kill, watchdog and upgrade, and at the end nothing is left.
#
# usage: package_test.sh [RELEASE]    RELEASE: bookworm (default), or another that scripts/package.sh --release has built for.
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
failed_checks=0
is_done=no

note() { echo "# $*"; }

check() {                      # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then
        echo "ok - $test_name: $text"
    else
        echo "not ok - $test_name: $text"
        failed_checks=$((failed_checks + 1))
    fi
}

fails() { ! "$@" >/dev/null 2>&1; }
same() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; return 1; }; }

wait_until() {                 # wait_until SECONDS COMMAND...
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

if [ "$(id -u)" -ne 0 ]; then
    echo "ok - $test_name # SKIP needs root: it boots a container"
    exit 0
fi
for program in debootstrap systemd-nspawn; do
    command -v "$program" >/dev/null || { echo "ok - $test_name # SKIP needs $program: scripts/packages.sh package"; exit 0; }
done

work=$(mktemp -d)
container=''
leader=''

# shellcheck disable=SC2317  # called by the trap
end() {
    local code=$?
    if [ -n "$container" ] && kill -0 "$container" 2>/dev/null; then
        kill -TERM "$container"                # nspawn ends what runs in it
        for _ in $(seq 100); do kill -0 "$container" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$container" 2>/dev/null || true
    fi
    if [ "$is_done" != yes ]; then
        tail -n 40 "$work/journal" "$work/console" 2>/dev/null | sed 's/^/# /'
        echo "not ok - $test_name ended early (exit code $code)"
        code=1
    elif [ "$failed_checks" -gt 0 ]; then
        code=1
    fi
    rm -rf "$work"
    exit "$code"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# inside COMMAND... : in the booted container. Its environment is the container's.
inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --root --wd -- \
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
    make_root "$base" "$release" systemd systemd-sysv dbus iproute2 ethtool procps socat
    mapfile -t needed < <(dependencies)
    root_run "$base" -- env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends --download-only "${needed[@]}" >"$work/download" 2>&1 ||
        { root_run "$base" -- apt-get update -q && root_run "$base" -- apt-get install -q -y --no-install-recommends --download-only "${needed[@]}"; } >"$work/download" 2>&1
}

boot() {
    # Its machine id is new with each boot. AF_XDP and BPF are not among what a container may do by itself.
    systemd-nspawn --register=no --keep-unit --private-network --volatile=overlay --timezone=off --resolv-conf=off --machine="fairlead-$$" \
        --capability=all --system-call-filter='bpf' --bind-ro="$packages:/packages" --directory="$base" --boot >"$work/console" 2>&1 </dev/null &
    container=$!
    wait_until 20 pgrep -P "$container" -x systemd || { note "the container does not boot"; return 1; }
    leader=$(pgrep -P "$container" -x systemd)
    wait_until 60 sh -c "nsenter --target $leader --mount --pid --root -- systemctl is-system-running | grep -qE 'running|degraded'"
}

# Everything but what is a mount of its own, and but what dpkg and its tools know and log.
list_files() {
    inside find / /run /dev/shm /dev/hugepages -xdev \( -path /proc -o -path /sys -o -path /run/systemd -o -path /run/udev -o -path /var/lib/dpkg \
        -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /tmp -o -path /var/tmp -o -path /packages -o -path /run/dbus -o -path /run/netns \) -prune -o -print 2>/dev/null | sort
}

# client, balancer (the container's own namespace) and backend on one bridge.
make_network() {
    # shellcheck disable=SC2016
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
        useradd -G fairlead alice; useradd bob
        systemctl daemon-reload'
}

property() { inside systemctl show -P "$2" "$1"; }
is_active() { [ "$(property "$1" ActiveState)" = active ]; }
pid_of() { property "$1" MainPID; }
user_of() { inside ps -o user= -p "$(pid_of "$1")"; }
capabilities_of() { inside sh -c "sed -n 's/^CapBnd:\t0*//p' /proc/$(pid_of "$1")/status"; }
restarts_of() { property "$1" NRestarts; }
agree() { inside fairlead status -o json | grep -q '"is_connected": *true' && inside fairlead status >/dev/null; }

# One real connection, kept open: each line that is sent must come back.
open_connection() {
    # shellcheck disable=SC2016
    inside sh -c 'mkfifo /tmp/to /tmp/from; ip netns exec be setsid socat TCP-LISTEN:80,fork,reuseaddr EXEC:cat >/tmp/server.log 2>&1 &
        sleep 0.5; (setsid ip netns exec client socat - TCP:198.51.100.10:80 <>/tmp/to >/tmp/from 2>/tmp/client.log &)
        exec sleep infinity </tmp/from 3>/tmp/to' >/dev/null 2>&1 &
}
asked=0
answers() {
    asked=$((asked + 1))
    # shellcheck disable=SC2016
    inside timeout 20 bash -c 'exec 3<>/tmp/from 4<>/tmp/to; echo "line $0" >&4; read -r -t 15 line <&3; [ "$line" = "line $0" ]' "$asked"
}
