# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# cores: which CPUs the workers get, and everything else off them. What only a boot can do (isolcpus) is printed; interrupts and the kernel's
# unbound work are moved now.

workqueue_mask=$host_root/sys/devices/virtual/workqueue/cpumask

host_cores() {
    need_root
    if [ "${option[undo]:-no}" = yes ]; then undo_cores; return; fi
    local workers kept_free housekeeping node
    if [ -n "${option[cpus]:-}" ]; then
        take_cpus
    else
        [ -n "${option[workers]:-}" ] || refuse "cores takes --workers N or --cpus LIST"
        need_number --workers "${option[workers]}" 1
        choose_node
        choose_cpus
    fi
    kept_free=$(for cpu in $workers; do siblings_of "$cpu"; done | sort -nu)
    housekeeping=$(without "$(online_cpus)" "$kept_free")
    [ -n "$housekeeping" ] || lack "cores: CPUs $(list_of_cpus <<<"$kept_free") are all that this machine has: leave one for everything else"
    if [ "$dry_run" = no ]; then open_state; drop_old_record cores; fi
    plan_moves
    if [ -n "${option[persist]:-}" ]; then plan_notes "cores --cpus $(list_of_cpus <<<"$workers")"; fi
    if [ "${#plan_text[@]}" -eq 0 ]; then
        say "nothing to do: no interrupt that can be moved and no unbound work is on CPUs $(list_of_cpus <<<"$kept_free")"
    else
        say_plan
        if [ "$dry_run" = no ]; then do_plan || { put_back_notes; die "cores: $failure; --undo puts back what was moved"; }; fi
    fi
    say_choice
}

take_cpus() {
    local cpu missing=''
    [[ ${option[cpus]} =~ ^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$ ]] || refuse "--cpus takes a list such as 2,4-6, not '${option[cpus]}'"
    workers=$(cpus_of_list <<<"${option[cpus]}")
    [ -n "$workers" ] || refuse "--cpus takes a list such as 2,4-6, not '${option[cpus]}'"
    for cpu in $workers; do grep -qx "$cpu" <<<"$(online_cpus)" || missing+=${missing:+,}$cpu; done
    [ -z "$missing" ] || lack "--cpus ${option[cpus]}: there is no CPU $missing, those online are $(online_cpus | list_of_cpus)"
    ! grep -qx 0 <<<"$workers" || lack "--cpus ${option[cpus]}: CPU 0 does what the kernel does nowhere else; take others of $(online_cpus | list_of_cpus)"
}

# Where a NIC writes its packets to memory of its own node, a worker elsewhere fetches each of them through the other socket.
choose_node() {
    local word all nics=()
    all=$(nodes)
    node=''
    if [ -n "${option[nic]:-}" ]; then
        IFS=, read -ra nics <<<"${option[nic]}"
        for word in "${nics[@]}"; do
            resolve_nic "$word"
            if [ -n "$node" ] && [ "$node" != "$(node_of "$address")" ]; then lack "--nic ${option[nic]}: they are on nodes $node and $(node_of "$address"): run a dataplane on each, with NICs and CPUs of its own"; fi
            node=$(node_of "$address")
        done
    elif [ -n "${option[node]:-}" ]; then
        need_number --node "${option[node]}"
        node=${option[node]}
        grep -qx "$node" <<<"$all" || lack "--node $node: this machine has node $(paste -sd ' ' <<<"$all")"
    elif [ "$(grep -c . <<<"$all")" -le 1 ]; then
        node=${all:-0}
    else
        node=$(for word in $(bound_nics); do node_of "$word"; done | sort -u)
        [ "$(grep -c . <<<"$node")" -eq 1 ] || refuse "this machine has nodes $(paste -sd ' ' <<<"$all"): say --nic NIC, whose node it shall be, or --node K"
    fi
}

# One of each core, none of CPU 0's, those that were kept free at boot first.
choose_cpus() {
    local candidates isolated cpu taken='' count=0
    candidates=$(without "$(comm -12 <(online_cpus | sort) <(cpus_of_node "$node" | sort) | sort -n)" "$(siblings_of 0)")
    isolated=$(isolated_cpus)
    workers=''
    for cpu in $(comm -12 <(sort <<<"$candidates") <(sort <<<"$isolated") | sort -n) $(without "$candidates" "$isolated"); do
        if grep -qx "$cpu" <<<"$taken"; then continue; fi
        taken+=$(siblings_of "$cpu")$'\n'
        count=$((count + 1))
        workers+=$cpu$'\n'
        if [ "$count" -eq "$((10#${option[workers]}))" ]; then break; fi
    done
    workers=$(sort -n <<<"${workers%$'\n'}")
    if [ "$count" -lt "$((10#${option[workers]}))" ]; then
        lack "cores: needs $((10#${option[workers]})) cores on node $node besides CPU 0's, has $count: fewer --workers, or --cpus with CPUs of another node"
    fi
}

plan_moves() {
    local mask
    # Without a process for each: there are hundreds of interrupts, and few masks.
    declare -A moved_to=() unmovable=()
    while IFS= read -r mask; do unmovable[$mask]=yes; done < <(read_value "$state/cores/unmovable")
    for mask in $(printf '%s\n' "$host_root/proc/irq/"*/smp_affinity | sort -V) "$host_root/proc/irq/default_smp_affinity"; do
        if [ -e "$mask" ] && [ -z "${unmovable[$mask]:-}" ]; then plan_move "$mask" move_interrupts; fi
    done
    if [ -e "$workqueue_mask" ]; then plan_move "$workqueue_mask" move_work; fi
}

# plan_move PATH COMMAND : takes what is kept free out of the mask; where nothing is left, it is everything else.
plan_move() {
    local was='' now left
    { read -r was <"$1"; } 2>/dev/null || true
    if [ -z "${moved_to[${was:-0}]:-}" ]; then
        now=$(cpus_of_mask "${was:-0}")
        left=$(without "$now" "$kept_free")
        moved_to[${was:-0}]=same
        if [ "$left" != "$now" ]; then
            left=$(comm -12 <(sort <<<"$left") <(sort <<<"$housekeeping") | sort -n)
            moved_to[${was:-0}]=$(mask_of_cpus <<<"${left:-$housekeeping}")
        fi
    fi
    left=${moved_to[${was:-0}]}
    if [ "$left" != same ]; then plan "echo '$left' >$1    # was $was" "$2" "$1" "$left"; fi
}
move_work() { record_value cores "$1" && write_value "$2" "$1"; }
# Some interrupts belong to a CPU, or are spread by their driver: the kernel refuses, and a second run does not ask again.
move_interrupts() {
    local interrupt=${1%/*}
    record_value cores "$1" || return 1
    write_value "$2" "$1" && return 0
    rm -f "$state/cores/values${1#"$host_root"}"
    echo "$1" >>"$state/cores/unmovable"
    say "interrupt ${interrupt##*/} stays where it is: $failure"
    failure=''
}

say_choice() {
    local list
    list=$(list_of_cpus <<<"$kept_free")
    say "workers on CPUs $(list_of_cpus <<<"$workers")${node:+ of node $node}; everything else on $(list_of_cpus <<<"$housekeeping")"
    if [ "$kept_free" != "$workers" ]; then say "CPUs $(without "$kept_free" "$workers" | list_of_cpus) are the same cores' other threads: they stay idle"; fi
    if runs irqbalance; then
        say "irqbalance runs, and will move interrupts back: put IRQBALANCE_BANNED_CPULIST=$list into /etc/default/irqbalance, and systemctl restart irqbalance"
    fi
    if [ "$(without "$kept_free" "$(isolated_cpus)")" = '' ]; then
        say "the kernel was booted with these CPUs isolated"
    else
        say "kernel command line, for /etc/default/grub.d/fairlead.cfg; then update-grub, and boot:"
        echo "  GRUB_CMDLINE_LINUX_DEFAULT=\"\$GRUB_CMDLINE_LINUX_DEFAULT $(isolation_words "$list" "$(list_of_cpus <<<"$housekeeping")")\""
    fi
    say "the dataplane:"
    echo "  fairlead-dataplane --lcores $(list_of_cpus <<<"$workers") ..."
}
isolation_words() { echo "isolcpus=managed_irq,domain,$1 nohz_full=$1 rcu_nocbs=$1 irqaffinity=$2"; }

# runs NAME : a process of that name.
runs() { grep -qsxF "$1" "$host_root/proc/"[0-9]*/comm; }

undo_cores() {
    if [ "$dry_run" = no ]; then open_state; drop_old_record cores; fi
    if has_record cores; then plan_undo cores; fi
    plan_forget cores
    if [ "${#plan_text[@]}" -eq 0 ]; then say "nothing to do: nothing was moved by this since the machine was started"; return; fi
    say_plan
    [ "$dry_run" = no ] || return 0
    do_plan || die "cores: $failure; the rest stays recorded in $state/cores"
    say "put back"
}
