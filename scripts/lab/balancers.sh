# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the balancers run: fairlead-dataplane on AF_XDP over the host's ports, and fairleadd. Sourced by scripts/lab.sh.

# write_balancer_configuration HOST [SEED]
write_balancer_configuration() {
    local host=$1 directory
    directory=$(host_directory "$host")
    mkdir -p "$directory/run" "$directory/state"
    cat >"$directory/fairlead.yaml" <<END
balancer:
  source_address: $(host_address "$host")
${2:+  seed: $2
}services: []
END
    # What a site does by birdc or keepalived: the router's probe takes a balancer out that has this file.
    printf '%s\n' --on-withdraw "/usr/bin/touch $(no_route_file "$host")" \
        --on-announce "/usr/bin/rm -f $(no_route_file "$host")" >"$directory/fairleadd.options"
}

no_route_file() { echo "$(host_directory "$1")/run/no-route"; }

start_dataplane() {
    local host=$1 worker ports=() options dataplane_priority
    choose_dataplane_priority
    read -ra options <<<"$dataplane_options"
    for worker in $(seq 0 $((worker_count - 1))); do
        ports+=(--port "af_xdp:eth$worker")
    done
    launch "$host" fairlead-dataplane "${dataplane_priority[@]}" "$programs/fairlead-dataplane" "${ports[@]}" --workers "$worker_count" \
        --idle "$idle" --runtime-dir "$(host_directory "$host")/run" --table-directory "$(table_directory "$host")" \
        "${options[@]}"
}

dataplane_listens() { [ -S "$(host_directory "$1")/run/dataplane.sock" ]; }

start_fairleadd() {
    local directory options
    directory=$(host_directory "$1")
    mapfile -t options <"$directory/fairleadd.options"      # a word a line
    launch "$1" fairleadd "$programs/fairleadd" --config "$directory/fairlead.yaml" \
        --state-dir "$directory/state" --runtime-dir "$directory/run" "${options[@]}"
}

fairleadd_answers() {
    in_host "$1" env FAIRLEAD_SOCKET="$(host_directory "$1")/run/fairleadd.sock" "$programs/fairlead" status >/dev/null 2>&1
}

# renew_balancer HOST : ends its programs and removes what they kept, in files and on its ports.
renew_balancer() {
    local host=$1 program worker directory
    directory=$(host_directory "$host")
    for program in $(host_programs "$host"); do
        if running_pid "$host" "$program" >/dev/null; then signal_program "$host" "$program" KILL; fi
    done
    for worker in $(seq 0 $((worker_count - 1))); do
        ip_in "$host" link set dev "eth$worker" xdp off
    done
    rm -rf "$directory/run" "$directory/state" "$(table_directory "$host")"
    write_balancer_configuration "$host"
}

# forget_connections HOST : says so if there is nothing to forget; whoever asks for it means to lose something.
forget_connections() {
    local tables
    tables=$(find "$(table_directory "$1")" -type f)
    [ -n "$tables" ] || die "$1 has no connection tables in $(table_directory "$1")"
    rm -r "$(table_directory "$1")"
}
