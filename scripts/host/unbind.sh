# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# unbind: puts back a NIC's driver, driver_override and interface as recorded; one that somebody else bound goes to the driver of the
# kernel's choice.

host_unbind() {
    need_root
    if [ "${option[undo]:-no}" = yes ]; then bind_again; return; fi
    undo_bind "${words[@]}"
}

bound_nics() {
    local nic
    for nic in $(all_nics); do
        case $(driver_of "$nic") in
            vfio-pci | uio_pci_generic) echo "$nic" ;;
        esac
    done
}
recorded_nics() {
    local kept
    for kept in "$state"/bind/*/; do
        kept=${kept%/}
        if [ -e "$kept/driver" ]; then echo "${kept##*/}"; fi
    done
}

undo_bind() {
    local -a addresses=() to_unbind=()
    if [ "${option[all]:-no}" = yes ]; then
        if [ "$command" = unbind ]; then mapfile -t addresses < <({ bound_nics; recorded_nics; } | sort -u)
        else mapfile -t addresses < <(recorded_nics); fi
    else
        [ $# -gt 0 ] || refuse "unbind takes NICs (PCI addresses, or the interface names they had), or --all"
        resolve_nics "$@"
    fi
    if [ "$dry_run" = no ]; then open_state; drop_old_record bind; fi
    for address in "${addresses[@]}"; do
        check_holders "$address"
        if needs_unbind "$address"; then to_unbind+=("$address"); plan_unbind "$address"
        else say "$address$(in_brackets "$(driver_of "$address")") is not bound by this: nothing to put back"; fi
    done
    # Of all NICs the notes go, too, of those whose binding failed at boot.
    if [ "${option[all]:-no}" = yes ]; then mapfile -t addresses < <({ printf '%s\n' "${addresses[@]}"; conf_lines | sed -nE 's/^bind ([^ ]+).*/\1/p'; } | sort -u | grep . || true); fi
    plan_forget "${addresses[@]}"
    if [ "${#plan_text[@]}" -eq 0 ]; then say "nothing to do"; return; fi
    say_plan
    [ "$dry_run" = no ] || return 0
    unbind_all
}

# The kernel would wait for it, with everybody else who wants to bind something.
check_holders() {
    local holders
    holders=$(holders_of "$1" | joined ', ')
    [ -z "$holders" ] || die "$1 is in use by process $holders: stop it first"
}

unbind_all() {
    local failed=0 now interfaces
    if [ "$command" = unbind ]; then
        for address in "${to_unbind[@]}"; do echo "$address $(driver_of "$address")"; done >"$state/unbound"
    fi
    do_plan || { complain "unbind: $failure"; failed=1; }
    for address in "${to_unbind[@]}"; do
        if [ -d "$state/bind/$address" ]; then failed=1; continue; fi
        now=$(driver_of "$address")
        interfaces=$(interfaces_of "$address" | joined ', ')
        say "$address is back (${now:-no driver}${interfaces:+, $interfaces})"
    done
    [ "$failed" -eq 0 ] || die "unbind: not all is back; what is recorded is kept in $state/bind for another try"
    if [ -z "$(recorded_nics)" ]; then stop_watcher; unload_modules; rm -rf "${state:?}/bind"; fi
}

needs_unbind() {
    case $(driver_of "$1") in
        vfio-pci | uio_pci_generic) return 0 ;;
    esac
    [ -d "$state/bind/$1" ]
}

# written_override VALUE : what to write so that driver_override reads as VALUE. None reads "(null)", and an empty line makes it so.
written_override() { if [ "$1" = '(null)' ]; then echo ''; else echo "$1"; fi; }

plan_unbind() {
    local device kept=$state/bind/$1 was now override
    device=$pci/devices/$1
    now=$(driver_of "$1")
    was=$(read_value "$kept/driver")
    override=$(read_value "$kept/override")
    plan "echo '$(written_override "$override")' >$device/driver_override" restore_nic "$1"
    if [ -n "$now" ] && [ "$now" != "$was" ]; then plan_text+=("echo '$1' >$device/driver/unbind"); fi
    if [ ! -d "$kept" ]; then plan_text+=("echo '$1' >$pci/drivers_probe")
    elif [ -n "$was" ] && [ "$now" != "$was" ]; then plan_text+=("echo '$1' >$pci/drivers/$was/bind")
    fi
    if [ -s "$kept/interface" ]; then
        plan_text+=("ip link set $(read_value "$kept/interface") $(read_value "$kept/state")    # and its $(lines_in "$kept/addresses") addresses and $(lines_in "$kept"/routes?) routes")
    fi
}

# lines_in FILE... : how many there are.
lines_in() {
    local file lines count=0
    for file in "$@"; do
        mapfile -t lines < <(read_value "$file")
        count=$((count + ${#lines[@]}))
    done
    echo "$count"
}

# restore_nic ADDRESS : as far as it is not so already; the record goes when all is back.
restore_nic() {
    local device kept=$state/bind/$1 was current override
    device=$pci/devices/$1
    if [ ! -e "$device" ]; then complain "$1 is not there any more: nothing to put back"; rm -rf "$kept"; return 0; fi
    was=$(read_value "$kept/driver")
    current=$(driver_of "$1")
    override='(null)'
    if [ -e "$kept/override" ]; then override=$(read_value "$kept/override"); fi
    # Even if it was bound meanwhile: from here on another start finds the kernel's choice.
    if [ "$(read_value "$device/driver_override")" != "$override" ]; then
        write_value "$(written_override "$override")" "$device/driver_override" || return 1
    fi
    if [ -n "$current" ] && [ "$current" != "$was" ]; then write_value "$1" "$device/driver/unbind" || return 1; fi
    if [ ! -d "$kept" ]; then
        write_value "$1" "$pci/drivers_probe"
        return
    fi
    if [ -n "$was" ]; then
        if [ "$current" != "$was" ]; then
            write_value "$1" "$pci/drivers/$was/bind" || return 1
            await_driver "$1" "$was" || { failure="$1 does not take its driver $was back: see dmesg"; return 1; }
        fi
        restore_interface "$1" "$kept"
    fi
    rm -rf "$kept"
}

# Those that this loaded, and only if nobody else uses them meanwhile.
unload_modules() {
    local module
    [ -s "$state/bind/modules" ] || return 0
    for module in $(tac "$state/bind/modules"); do
        modprobe_command -r "$module" 2>/dev/null || say "module $module stays loaded: it is in use"
    done
    rm -f "$state/bind/modules"
}

# unbind --undo : binds again what the last unbind took.
bind_again() {
    local driver_was
    if [ ! -s "$state/unbound" ]; then say "nothing to do: nothing was unbound by this"; return; fi
    local -a these
    for driver_was in $(cut -d ' ' -f 2 "$state/unbound" | sort -u); do
        mapfile -t these < <(grep " $driver_was\$" "$state/unbound" | cut -d ' ' -f 1)
        "$host_sh" bind "${these[@]}" --driver "$driver_was" --state "$state" $([ "$dry_run" = no ] || echo --dry-run)
    done
    [ "$dry_run" = yes ] || rm -f "$state/unbound"
}
