# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# --confirm-within: a process of a session of its own, which the loss of the terminal does not end, puts the NICs back unless
# $state/bind/unconfirmed is gone by then. It starts before the first NIC is touched.

# start_watcher SECONDS ADDRESS...
start_watcher() {
    local token within=$1
    shift
    token=$$.$(date +%s%N)
    if ! echo "$token" >"$state/bind/unconfirmed"; then failure="cannot write $state/bind/unconfirmed"; return 1; fi
    # Without the lock, which is this script's.
    setsid "$host_sh" bind --rollback-after "$within" --token "$token" --state "$state" "$@" \
        </dev/null >>"$state/rollback.log" 2>&1 {state_lock}>&- &
}

stop_watcher() { rm -f "$state/bind/unconfirmed"; }

is_unconfirmed() { [ "$(read_value "$state/bind/unconfirmed")" = "$1" ]; }

# The watcher itself.
roll_back_later() {
    local deadline holders now next_said=0 unconfirmed="not confirmed within ${option[rollback-after]} s"
    local -A asked=()
    trap '' HUP INT
    deadline=$(($(uptime_seconds) + 1 + 10#${option[rollback-after]}))     # not sooner: a part of a second has gone already
    while is_unconfirmed "${option[token]}"; do
        now=$(uptime_seconds)
        if [ "$now" -lt "$deadline" ]; then sleep 0.5; continue; fi
        # Unbinding would wait in the kernel, with the lock held, for as long as somebody has the NIC open.
        holders=$(for address in "$@"; do holders_of "$address"; done | sort -u)
        if [ -n "$holders" ]; then
            if [ "$now" -ge "$next_said" ]; then
                log_rollback "$unconfirmed, but $* is in use by process $(joined ', ' <<<"$holders"): put back when it lets go"
                next_said=$((now + 60))
            fi
            end_dataplanes "$holders"
            sleep 1
            continue
        fi
        log_rollback "$unconfirmed: putting back $*"
        # Somebody may open it meanwhile, or have the lock for long.
        if "$host_sh" bind --undo --state "$state" "$@"; then
            if is_unconfirmed "${option[token]}"; then stop_watcher; fi
            return
        fi
        sleep 10
    done
}
log_rollback() {
    say "$(date -Is): $1"
    logger -t fairlead-host "bind: $1" 2>/dev/null || true
}

# end_dataplanes HOLDERS : those that are dataplanes, each asked once. By its unit, where it has one, which might start it again.
kDataplane=fairlead-datapl      # as the kernel cuts it
end_dataplanes() {
    local pid unit
    while read -r pid _; do
        if [ -n "${asked[$pid]:-}" ] || ! is_dataplane "$pid"; then continue; fi
        asked[$pid]=yes
        unit=$(sed -nE 's,.*/(fairlead-dataplane[^/]*\.service)$,\1,p' "$host_root/proc/$pid/cgroup" 2>/dev/null | sort -u || true)
        if [ -n "$unit" ] && [ -d "$host_root/run/systemd/system" ]; then
            log_rollback "systemctl stop $unit"
            if systemctl stop "$unit" </dev/null; then continue; fi
        fi
        is_dataplane "$pid" || continue
        log_rollback "kill $pid ($kDataplane)"
        kill "$pid" || true
    done <<<"$1"
}
is_dataplane() { [ "$(read_value "$host_root/proc/$1/comm")" = "$kDataplane" ]; }

uptime_seconds() {
    local up
    read -r up _ </proc/uptime
    echo "${up%.*}"
}

confirm_bind() {
    local pending=$state/bind/pending waits=no line nic driver
    if [ -e "$state/bind/unconfirmed" ]; then
        # First: whatever becomes of the notes, it is confirmed.
        waits=yes
        plan "rm $state/bind/unconfirmed" stop_watcher
    elif [ -z "$(recorded_nics)" ]; then
        die "nothing is bound that could be confirmed: it was never bound, or has been put back ($state/rollback.log)"
    elif [ ! -s "$pending" ]; then
        say "nothing to do: what is bound is confirmed already"
        return
    fi
    if [ -s "$pending" ]; then
        plan_unit
        while IFS= read -r line; do
            read -r _ nic _ driver _ <<<"$line"
            # Not what was unbound meanwhile.
            if [ "$(driver_of "$nic")" = "$driver" ]; then plan_note "$line"; fi
        done <"$pending"
        plan "rm $pending" rm -f "$pending"
    fi
    say_plan
    [ "$dry_run" = no ] || return 0
    open_state
    # The watcher may have been faster while this waited for the lock.
    [ "$waits" = no ] || [ -e "$state/bind/unconfirmed" ] || die "too late: what was bound has been put back ($state/rollback.log)"
    if ! do_plan; then
        [ ! -e "$state/bind/unconfirmed" ] || die "$failure"
        put_back_notes
        die "confirmed: $(recorded_nics | joined ' ') stay bound, but not noted for the next boot: $failure; to note it then: $host_sh bind --confirm"
    fi
    say "confirmed: $(recorded_nics | joined ' ') stay bound"
}

# holders_of ADDRESS : processes that have the NIC open, one a line.
holders_of() {
    local node='' fd pid group uio
    group=$(link_name "$pci/devices/$1/iommu_group")
    for uio in "$pci/devices/$1"/uio/uio*; do if [ -e "$uio" ]; then node=/dev/${uio##*/}; fi; done
    if [ "$(driver_of "$1")" = vfio-pci ] && [ -n "$group" ]; then node=/dev/vfio/$group; fi
    [ -n "$node" ] || return 0
    # The second is vfio's where there is no IOMMU.
    find "$host_root/proc/"[0-9]*/fd -maxdepth 1 \( -lname "$node" -o -lname "/dev/vfio/noiommu-${group:-none}" \) 2>/dev/null | while IFS= read -r fd; do
        pid=${fd#"$host_root/proc/"}
        pid=${pid%%/*}
        echo "$pid ($(read_value "$host_root/proc/$pid/comm"))"
    done | sort -u || true
}
