# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# bind: hands NICs to vfio-pci (or uio_pci_generic) by driver_override: it names one device, where new_id would claim every NIC of
# the same model.
#
# Not by driverctl, which uses the same kernel mechanism and would bind again at boot: it binds at once and unasked, the interface of the
# default route too; it knows neither a rollback nor the IOMMU group; and at boot it goes by PCI address alone, which another
# card in another slot can change. The two get along: an override of driverctl's is recorded and put back as any other value.

host_bind() {
    need_root
    if [ -n "${option[confirm]:-}" ]; then confirm_bind; return; fi
    if [ -n "${option[rollback-after]:-}" ]; then roll_back_later "${words[@]}"; return; fi
    if [ "${option[undo]:-no}" = yes ]; then
        if [ "${#words[@]}" -eq 0 ]; then option[all]=yes; fi
        undo_bind "${words[@]}"
        return
    fi
    [ "${#words[@]}" -gt 0 ] || refuse "bind takes NICs: PCI addresses or interface names"
    driver=${option[driver]:-vfio-pci}
    case $driver in
        vfio-pci | uio_pci_generic) ;;
        *) refuse "--driver takes vfio-pci or uio_pci_generic, not '$driver'" ;;
    esac
    if [ -n "${option[confirm-within]:-}" ]; then need_number --confirm-within "${option[confirm-within]}" 1; fi

    local module
    local -a addresses=() to_bind=()
    resolve_nics "$@"
    for address in "${addresses[@]}"; do
        if [ "$(driver_of "$address")" = "$driver" ]; then
            say "$address is bound to $driver already"
        else
            to_bind+=("$address")
        fi
    done
    for address in "${to_bind[@]}"; do check_bindable "$address"; done
    if [ "${#to_bind[@]}" -gt 0 ]; then
        for module in $(modules_of "$driver"); do need_module "$module"; done
    fi
    bind_all
}

# resolve_nics WORD... : into `addresses`, each once.
resolve_nics() {
    local word
    for word in "$@"; do
        resolve_nic "$word"
        if [[ " ${addresses[*]} " == *" $address "* ]]; then say "$word is $address, which is named already"; continue; fi
        addresses+=("$address")
    done
}

check_bindable() {
    local current cuts vf_count
    check_identity "$1"
    check_holders "$1"
    current=$(driver_of "$1")
    if [[ $kBifurcatedDrivers == *" $current "* ]]; then
        lack "$1: DPDK uses a NIC of $current beside its kernel driver; do not bind it, give the dataplane --port $1"
    fi
    vf_count=$(read_value "$pci/devices/$1/sriov_numvfs")
    [ "${vf_count:-0}" -eq 0 ] || lack "$1: has $vf_count virtual functions, which would go with it; bind one of those, or first: echo 0 >$pci/devices/$1/sriov_numvfs"
    check_iommu "$1"
    if [ -n "$(first_interface_of "$1")" ]; then look_for_lifelines; fi
    cuts=$(lifelines_of "$1" | joined ' and ')
    [ -n "$cuts" ] || return 0
    if [ "$really" -lt 2 ]; then
        die "$1$(in_brackets "$(interfaces_of "$1" | joined ' ')") carries $cuts: binding it cuts that off; use another NIC, or say --really --really, with --confirm-within 60"
    fi
    complain "WARNING: $1 carries $cuts, which will be cut off$([ -n "${option[confirm-within]:-}" ] || echo "; without --confirm-within nobody puts it back")"
}

# vfio takes a whole IOMMU group or nothing of it, since its devices can reach each other's memory.
check_iommu() {
    local device group other other_driver
    device=$pci/devices/$1
    group=$(link_name "$device/iommu_group")
    if [ "$driver" != vfio-pci ]; then check_uio "$1" "$group"; return; fi
    # vfio's own mode without one needs CAP_SYS_RAWIO of the dataplane, and is not in Debian's kernel: uio does as much.
    if [ -z "$group" ]; then
        lack "$1: vfio-pci needs an IOMMU, this machine has none that is on: switch on VT-d or AMD-Vi in the firmware and boot with $(iommu_words); or say --driver uio_pci_generic"
    fi
    for other in "$device/iommu_group/devices/"*; do
        other=${other##*/}
        [ "$other" != "$1" ] || continue
        [[ $(class_of "$other") != 0x0604* ]] || continue
        other_driver=$(driver_of "$other")
        case $other_driver in
            '' | vfio-pci | pci-stub) continue ;;
        esac
        [[ " ${addresses[*]} " != *" $other "* ]] || continue
        lack "$1: shares IOMMU group $group with $other ($other_driver$(interfaces_of "$other" | sed 's/^/, /' | tr -d '\n')), and vfio takes all of a group or none: bind $other too, or put the NIC into another slot"
    done
}

# check_uio ADDRESS GROUP : what the kernel would answer with an I/O error, or the dataplane with silence.
check_uio() {
    local device kind lockdown
    device=$pci/devices/$1
    lockdown=$(lockdown_mode)
    [ "$lockdown" = none ] || lack "$1: uio_pci_generic needs a kernel that is not locked down, this one is ($lockdown), as with secure boot: use vfio-pci"
    if [ -r "$device/config" ] && [ "$(od -An -tu1 -j61 -N1 "$device/config" | tr -d ' ')" = 0 ]; then
        lack "$1: uio_pci_generic needs a legacy interrupt, this NIC has none, as no virtual function has: use vfio-pci, with an IOMMU"
    fi
    [ -n "$2" ] || return 0
    kind=$(read_value "$device/iommu_group/type")
    case $kind in
        identity) complain "WARNING: $1: vfio-pci would do here, and keep the NIC to the dataplane's memory; uio_pci_generic does not" ;;
        DMA | DMA-FQ) lack "$1: uio_pci_generic needs memory as it is, but the IOMMU translates it (group $2 is of type $kind): use vfio-pci, or boot with iommu=pt" ;;
    esac
}

iommu_words() {
    if grep -qm 1 AuthenticAMD "$host_root/proc/cpuinfo" 2>/dev/null; then echo "amd_iommu=on iommu=pt"; else echo "intel_iommu=on iommu=pt"; fi
}

# modules_of DRIVER : those to load. vfio_iommu_type1 would be loaded when DPDK opens the device, but by then nobody sees why it fails.
modules_of() { if [ "$1" = vfio-pci ]; then echo vfio-pci vfio_iommu_type1; else echo "$1"; fi; }
module_is_there() { [ -e "$host_root/sys/module/${1//-/_}" ] || [ -e "$pci/drivers/$1" ]; }

# need_module DRIVER : before anything is touched.
need_module() {
    local said
    if module_is_there "$1"; then return 0; fi
    if ! said=$(modprobe_command --dry-run "$1" 2>&1); then
        lack "$1 is missing: modprobe $1: ${said##*: }; install Debian's linux-image-$(dpkg --print-architecture 2>/dev/null || echo amd64) (the cloud image may lack it), and boot it"
    fi
}
modprobe_command() { modprobe ${host_root:+-d "$host_root"} "$@"; }

load_module() {
    local said
    if module_is_there "$1"; then return 0; fi
    if said=$(modprobe_command "$1" 2>&1); then echo "$1" >>"$state/bind/modules"; return 0; fi
    failure="cannot load $1: ${said##*: }"
    return 1
}

bind_all() {
    local module
    if [ "${#to_bind[@]}" -gt 0 ]; then
        if [ -n "${option[confirm-within]:-}" ]; then
            plan "setsid $host_sh bind --undo ${to_bind[*]}    # in ${option[confirm-within]} s, unless: $host_sh bind --confirm" \
                start_watcher "${option[confirm-within]}" "${to_bind[@]}"
        fi
        for module in $(modules_of "$driver"); do
            module_is_there "$module" || plan "modprobe $module" load_module "$module"
        done
        for address in "${to_bind[@]}"; do plan_bind "$address"; done
    fi
    if [ -n "${option[persist]:-}" ]; then plan_notes_of_nics; fi
    if [ "${#plan_text[@]}" -eq 0 ]; then say "nothing to do"; return; fi
    say_plan
    [ "$dry_run" = no ] || return 0

    open_state
    drop_old_record bind
    begin_record bind || die "$failure"
    if [ -n "${option[confirm-within]:-}" ] && [ -e "$state/bind/unconfirmed" ]; then
        die "what was bound before is not confirmed yet: $host_sh bind --confirm, or bind --undo, then again"
    fi
    undo_on_exit put_back_bound
    do_plan || exit 1
    undo_no_more
    for address in "${to_bind[@]}"; do say "$address is bound to $driver: fairlead-dataplane --port $address"; done
    if [ -n "${option[confirm-within]:-}" ] && [ "${#to_bind[@]}" -gt 0 ]; then
        say "it goes back in ${option[confirm-within]} s (a fairlead-dataplane that has it by then is ended), unless you say: $host_sh bind --confirm"
    fi
}

plan_bind() {
    local device current interfaces
    device=$pci/devices/$1
    current=$(driver_of "$1")
    interfaces=$(interfaces_of "$1" | joined ' ')
    plan "mkdir $state/bind/$1    # records ${interfaces:+$interfaces, }driver ${current:-none}" record_nic "$1"
    plan_write "$driver" "$device/driver_override"
    if [ -n "$current" ]; then plan_write "$1" "$device/driver/unbind"; fi
    plan "echo '$1' >$pci/drivers/$driver/bind" bind_one "$1"
}

# record_nic ADDRESS : whole or not at all, so that a record is never half of one.
record_nic() {
    local kept=$state/bind/$1 said interface
    if [ -d "$kept" ]; then return 0; fi
    rm -rf "$kept.new"
    if ! said=$({ mkdir "$kept.new" && driver_of "$1" >"$kept.new/driver" && cat "$pci/devices/$1/driver_override" >"$kept.new/override"; } 2>&1); then
        failure="cannot record $1 in $kept: ${said##*: }"
        return 1
    fi
    interface=$(first_interface_of "$1")
    if [ -n "$interface" ]; then save_interface "$interface" "$kept.new"; fi
    mv "$kept.new" "$kept"
}

bind_one() {
    if ! write_value "$1" "$pci/drivers/$driver/bind"; then
        if [ "$driver" = uio_pci_generic ]; then failure+=" (it needs a legacy interrupt, which some NICs and all virtual functions lack)"; fi
        return 1
    fi
    await_driver "$1" "$driver" && return 0
    failure="$1 is on ${now:-no driver} after it was bound to $driver: see dmesg"
    return 1
}

# await_driver ADDRESS DRIVER : `now` is the driver that it has.
await_driver() {
    local round
    for ((round = 0; round < 50; ++round)); do
        now=$(driver_of "$1")
        [ "$now" != "$2" ] || return 0
        sleep 0.1
    done
    return 1
}

# All or nothing.
put_back_bound() {
    local status=$?
    begin_undo
    complain "bind: ${failure:-interrupted}; putting back what was there"
    failure=''
    put_back_notes
    for address in "${to_bind[@]}"; do
        if [ -d "$state/bind/$address" ]; then restore_nic "$address" || complain "$address: $failure"; fi
    done
    if [ -n "${option[confirm-within]:-}" ]; then stop_watcher; fi
    unload_modules
    if [ -z "$(recorded_nics)" ]; then rm -rf "${state:?}/bind"; fi
    exit "$status"
}
