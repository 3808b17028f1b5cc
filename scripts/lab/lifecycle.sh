# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The commands of scripts/lab.sh: up, run, status, start, kill, cut, mend, forget, renew, directory, down. Sourced by it.

readonly kReadySeconds=30

lab_up() {
    [ $# -eq 0 ] || refuse "up takes no argument '$1'"
    [[ $idle =~ ^(poll|backoff)$ ]] || refuse "--idle takes poll or backoff, not '$idle'"
    [[ $ecmp =~ ^(resilient|plain)$ ]] || refuse "--ecmp takes resilient or plain, not '$ecmp'"
    [[ $servers =~ ^(nginx|haproxy)$ ]] || refuse "--servers takes nginx or haproxy, not '$servers'"
    check_programs
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    claim_lab
    trap abandon_up EXIT
    mkdir -p "$(host_directory up)"
    record up up "$$"
    ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    [ -z "$owner" ] || guard "$owner"
    make_network
    if [ "$ecmp" = resilient ] && ! resilient_next_hops_work; then
        echo "lab: this kernel has no resilient next-hop groups; plain ECMP it is"
        ecmp=plain
        echo 'ecmp=plain' >>"$(lab_directory)/plan"
    fi
    start_backends
    start_balancers
    start_liveness
    wait_until "$kReadySeconds" balancers_alive || die "a balancer is not alive: $(tail -3 "$(host_directory router)/liveness.log")"
    rm -r "$(host_directory up)"
    trap - EXIT INT TERM HUP
    echo "lab: '$lab_name' is up: $balancer_count balancers, $backend_count backends, $client_count clients"
}

check_programs() {
    local program
    for program in ip ethtool "$servers" nginx curl jq python3; do
        command -v "$program" >/dev/null || die "$program is missing; scripts/packages.sh run installs it"
    done
    [ "$programs" != none ] || return 0
    for program in fairlead-dataplane fairleadd fairlead fairlead-backend; do
        [ -x "$programs/$program" ] || die "no program $programs/$program; scripts/build.sh builds it"
    done
    programs=$(cd "$programs" && pwd)
}

# abandon_up : `up` ended before its end. Says what the programs said last, and leaves nothing.
abandon_up() {
    local status=$? log
    trap - EXIT
    trap '' INT TERM HUP
    for log in "$(lab_directory)"/*/*.log; do
        [ -s "$log" ] || continue
        echo "lab: last lines of $(basename "$(dirname "$log")")/$(basename "$log"):" >&2
        tail -n 5 "$log" | sed 's/^/    /' >&2
    done
    remove_lab
    echo "lab: up failed; nothing is left of '$lab_name'" >&2
    exit "$((status == 0 ? 1 : status))"
}

# guard PID : a process that takes the lab down when PID has ended, however it ended.
guard() {
    # shellcheck disable=SC2016
    setsid bash -c 'tail --pid="$1" -s 0.5 -f /dev/null; exec "$2" down --name "$3"' guard \
        "$1" "$lab_scripts/../lab.sh" "$lab_name" </dev/null >/dev/null 2>&1 &
    mkdir -p "$(host_directory guard)"
    record guard guard "$!"
}

end_guard() {
    local pid
    pid=$(running_pid guard guard) || return 0
    # The guard itself runs this `down` when its owner has ended.
    [ "$pid" != "$$" ] || return 0
    kill -KILL -- "-$pid" 2>/dev/null || true
}

start_backends() {
    local host
    for host in $(backends); do
        write_nginx_configuration "$host"
        start_nginx "$host"
        [ "$servers" = haproxy ] || continue
        write_haproxy_configuration "$host"
        start_haproxy "$host"
    done
    for host in $(backends); do
        wait_until "$kReadySeconds" server_answers "$host" || die "$servers does not answer on $host"
        [ "$programs" = none ] || attach_backend "$host" || die "fairlead-backend does not attach on $host"
    done
}

start_balancers() {
    local host seed
    [ "$programs" != none ] || return 0
    # The seed is the fleet's: every balancer of the lab must pick the same rows.
    seed=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    for host in $(balancers); do
        write_balancer_configuration "$host" "$seed"
        start_dataplane "$host"
        start_fairleadd "$host"
    done
    for host in $(balancers); do
        wait_until "$kReadySeconds" balancer_ready "$host" ||
            die "$host is not ready: its dataplane's control socket and fairleadd's API must answer"
    done
}

# balancer_ready HOST : both of its programs answer; a program that has ended will never, so there is no use in waiting.
balancer_ready() {
    local program
    for program in fairlead-dataplane fairleadd; do
        running_pid "$1" "$program" >/dev/null || die "$program has ended on $1"
    done
    dataplane_listens "$1" && fairleadd_answers "$1"
}

known_host() {
    local host
    for host in $(hosts); do
        [ "$host" != "$1" ] || return 0
    done
    refuse "no host '$1'; the hosts are: $(hosts | tr '\n' ' ')"
}

lab_run() {
    [ $# -ge 2 ] || refuse "run takes a host and a command"
    load_lab
    local host=$1 environment=()
    shift
    known_host "$host"
    [ "$(host_kind "$host")" != lb ] || environment+=("FAIRLEAD_SOCKET=$(host_directory "$host")/run/fairleadd.sock")
    [ "$programs" = none ] || environment+=("PATH=$programs:$PATH")
    exec ip netns exec "$(namespace_of "$host")" env "FAIRLEAD_LAB_HOST=$host" "${environment[@]}" "$@"
}

lab_start() {
    [ $# -eq 2 ] || refuse "start takes a host and a program"
    load_lab
    known_host "$1"
    [[ " $(host_programs "$1" | tr '\n' ' ') " == *" $2 "* ]] || refuse "$1 runs $(host_programs "$1"), not '$2'"
    ! running_pid "$1" "$2" >/dev/null || die "$2 runs on $1 already"
    ulimit -n 1048576 2>/dev/null || true
    "start_${2#fairlead-}" "$@"
}

lab_kill() {
    case $# in
        2 | 3) ;;
        *) refuse "kill takes a host, a program and perhaps a signal" ;;
    esac
    load_lab
    known_host "$1"
    if [ "$2" != all ]; then
        signal_program "$1" "$2" "${3:-KILL}"
        return
    fi
    local program
    for program in $(host_programs "$1"); do
        if running_pid "$1" "$program" >/dev/null; then signal_program "$1" "$program" "${3:-KILL}"; fi
    done
}

lab_cut() { set_known_links cut down "$@"; }
lab_mend() { set_known_links mend up "$@"; }

set_known_links() {
    [ $# -eq 3 ] || refuse "$1 takes a host"
    load_lab
    known_host "$3"
    [ "$3" != router ] || refuse "the router has no link of its own to $1"
    set_links "$3" "$2"
}

lab_forget() { of_balancer forget_connections "$@"; }
lab_renew() { of_balancer renew_balancer "$@"; }

of_balancer() {
    [ $# -eq 2 ] || refuse "which balancer?"
    load_lab
    known_host "$2"
    if [ "$(host_kind "$2")" != lb ] || [ "$programs" = none ]; then refuse "'$2' is no balancer with programs"; fi
    "$@"
}

lab_directory_of() {
    load_lab
    if [ $# -eq 0 ]; then lab_directory; else known_host "$1"; host_directory "$1"; fi
}

lab_status() {
    load_lab
    local host program pid state dead=0
    printf '%-9s %-24s %-14s %s\n' HOST NAMESPACE ADDRESS PROCESSES
    for host in $(hosts); do
        state=''
        for program in $(host_programs "$host"); do
            if pid=$(running_pid "$host" "$program"); then
                state+="$program ($pid) "
            else
                state+="$program DEAD "
                dead=1
            fi
        done
        printf '%-9s %-24s %-14s %s\n' "$host" "$(namespace_of "$host")" "$(host_address "$host")" "${state:--}"
    done
    echo "VIPs ${kVips[*]}, next hops: $(jq -r '.next_hops | join(" ")' "$(host_directory router)/liveness.json" 2>/dev/null)"
    return "$dead"
}

lab_down() {
    if ! lab_exists; then
        # A claim without a plan: `up` was killed in its first moment.
        [ ! -d "$(lab_directory)" ] || release_lab
        echo "lab: no lab named '$lab_name'"
        return 0
    fi
    load_lab
    end_up
    remove_lab
    echo "lab: '$lab_name' is down"
}

# remove_lab : takes away all that is there of the lab in memory; its plan may be gone already.
remove_lab() {
    end_guard
    end_processes
    remove_network
    release_lab
}

# end_up : an `up` that is still at work would make what this `down` has just removed. It cleans up on its own when told
# to end; what it leaves if it cannot is removed after it.
end_up() {
    local pid
    pid=$(running_pid up up) || return 0
    kill -TERM "$pid" 2>/dev/null || true
    wait_until 30 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}
