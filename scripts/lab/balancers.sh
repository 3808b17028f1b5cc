# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the balancers run: fairlead-dataplane on AF_XDP over the host's ports, and fairleadd. Sourced by scripts/lab.sh.

# The seed is the fleet's: every balancer of the lab must pick the same rows.
write_balancer_configuration() {
    local host=$1 directory seed_file
    directory=$(host_directory "$host")
    seed_file=$(lab_directory)/seed
    [ -f "$seed_file" ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$seed_file"
    mkdir -p "$directory/run" "$directory/state"
    cat >"$directory/fairlead.yaml" <<END
balancer:
  source_address: $(host_address "$host")
  seed: $(cat "$seed_file")
services: []
END
}

start_dataplane() {
    local host=$1 worker ports=() options
    read -ra options <<<"$dataplane_options"
    for worker in $(seq 0 $((worker_count - 1))); do
        ports+=(--port "af_xdp:eth$worker")
    done
    # On a balancer the workers have cores of their own. Here they share two with everything else, and the driver's receive
    # queue of 2,048 packets is 41 ms at 50,000 packets a second: they come first whenever a packet waits.
    local dataplane_priority=(nice -n -10)
    if chrt --rr 10 true 2>/dev/null; then dataplane_priority=(chrt --rr 10); fi
    launch "$host" fairlead-dataplane "${dataplane_priority[@]}" "$programs/fairlead-dataplane" "${ports[@]}" --workers "$worker_count" \
        --idle "$idle" --runtime-dir "$(host_directory "$host")/run" "${options[@]}"
}

dataplane_listens() { [ -S "$(host_directory "$1")/run/dataplane.sock" ]; }

start_fairleadd() {
    local directory
    directory=$(host_directory "$1")
    launch "$1" fairleadd "$programs/fairleadd" --config "$directory/fairlead.yaml" \
        --state-dir "$directory/state" --runtime-dir "$directory/run"
}

fairleadd_answers() {
    in_host "$1" env FAIRLEAD_SOCKET="$(host_directory "$1")/run/fairleadd.sock" "$programs/fairlead" status >/dev/null 2>&1
}

# renew_balancer HOST : ends its programs and removes what they kept, in files and on its ports.
renew_balancer() {
    local host=$1 program worker directory
    directory=$(host_directory "$host")
    for program in $(host_programs "$host"); do
        ! running_pid "$host" "$program" >/dev/null || signal_program "$host" "$program" KILL
    done
    for worker in $(seq 0 $((worker_count - 1))); do
        ip_in "$host" link set dev "eth$worker" xdp off
    done
    rm -rf "$directory/run" "$directory/state"
    write_balancer_configuration "$host"
}
