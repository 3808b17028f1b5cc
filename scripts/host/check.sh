# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# check: what this machine has, and for what it lacks the command that mends it. Changes nothing, and asks for no privileges.

row_name=() row_state=() row_found=() row_mend=()
# row NAME FOUND [MEND] : with MEND it is to be mended.
row() {
    row_name+=("$1")
    row_found+=("$2")
    row_mend+=("${3:-}")
    if [ -n "${3:-}" ]; then row_state+=(mend); else row_state+=(ok); fi
}

host_check() {
    local nic
    check_cpu
    check_firmware
    check_iommu_unit
    check_vfio
    check_nodes
    check_hugepages
    check_cores
    nic_json=()
    if command -v ip >/dev/null; then look_for_lifelines; fi
    for nic in $(all_nics); do check_nic "$nic"; done
    [ -n "$(all_nics)" ] || row nic "no PCI NIC at all" "lspci -nn    # the card, its slot, and whether the firmware has switched it off"
    if [ "${option[json]:-no}" = yes ]; then print_json; else print_table; fi
    [[ " ${row_state[*]} " != *" mend "* ]] || exit 78
}

# What x86-64-v3 asks for (the psABI's table), and AES for the hash.
kCpuFlags="avx avx2 bmi1 bmi2 f16c fma abm movbe xsave sse4_2 popcnt cx16 aes"
check_cpu() {
    local flags flag missing='' model
    flags=" $(first_cpu_says flags) "
    model=$(first_cpu_says 'model name')
    for flag in $kCpuFlags; do [[ $flags == *" $flag "* ]] || missing+="${missing:+ }$flag"; done
    if [ -z "$missing" ]; then row cpu "${model:-unknown}: x86-64-v3 and AES"
    else row cpu "${model:-unknown}: lacks $missing" "needs a CPU with x86-64-v3 and AES (Haswell, Zen and later); a virtual machine: -cpu host"
    fi
    if [[ $flags == *" constant_tsc "* && $flags == *" nonstop_tsc "* ]]; then row tsc "invariant"
    else row tsc "not invariant: rates and timeouts would be wrong" "needs a CPU whose time stamp counter never changes its pace (constant_tsc, nonstop_tsc); a virtual machine: -cpu host,+invtsc"
    fi
}

# first_cpu_says NAME : without a pipe, whose writer would be ended by a reader that has read enough: there are hundreds of CPUs.
first_cpu_says() {
    local name value
    while IFS=: read -r name value; do
        if [ "${name%%$'\t'*}" = "$1" ]; then echo "${value# }"; return; fi
    done 2>/dev/null <"$host_root/proc/cpuinfo" || true
}

check_firmware() {
    local mode=BIOS lockdown
    if [ -d "$host_root/sys/firmware/efi" ]; then mode=UEFI; fi
    lockdown=$(lockdown_mode)
    case $lockdown in
        none) row firmware "$mode" ;;
        *) row firmware "$mode, the kernel is locked down ($lockdown): vfio-pci works, uio_pci_generic does not" ;;
    esac
}

check_iommu_unit() {
    local unit units='' groups
    for unit in "$host_root/sys/class/iommu/"*; do if [ -e "$unit" ]; then units+="${units:+ }${unit##*/}"; fi; done
    groups=$(find "$host_root/sys/kernel/iommu_groups" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l || true)
    if [ "$groups" -gt 0 ]; then row iommu "${units:-on}, $groups groups"; return; fi
    row iommu "none that is on" "switch on VT-d or AMD-Vi in the firmware; $(grub_command "$(iommu_words)")"
}
grub_command() { echo "echo 'GRUB_CMDLINE_LINUX_DEFAULT=\"\$GRUB_CMDLINE_LINUX_DEFAULT $1\"' >>/etc/default/grub.d/fairlead.cfg && update-grub && reboot"; }

check_vfio() {
    local said
    if module_is_there vfio-pci; then row vfio-pci "loaded"
    elif said=$(modprobe_command --dry-run vfio-pci 2>&1); then row vfio-pci "there, bind loads it"
    else row vfio-pci "missing: ${said##*: }" "apt install linux-image-$(dpkg --print-architecture 2>/dev/null || echo amd64) && reboot"
    fi
}

check_nodes() {
    local node text=''
    for node in $(nodes); do text+="${text:+; }node $node: CPUs $(cpus_of_node "$node" | list_of_cpus)"; done
    row numa "${text:-one node: CPUs $(online_cpus | list_of_cpus)}"
}

# On the nodes whose NICs are bound; while none is, on any.
check_hugepages() {
    local node size directory total free text any=0 wanted
    declare -A found=() kilobytes=()
    for node in $(nodes); do
        text='' kilobytes[$node]=0
        for size in 2048 1048576; do
            directory=$(hugepage_directory "$size" "$node")
            [ -d "$directory" ] || continue
            total=$(read_value "$directory/nr_hugepages")
            free=$(read_value "$directory/free_hugepages")
            text+="${text:+, }${kHugepageSizes[$size]}: $total, $free free"
            kilobytes[$node]=$((kilobytes[$node] + total * size))
            any=$((any + total))
        done
        found[$node]=${text:-none possible}
    done
    wanted=" $(for node in $(bound_nics); do node_of "$node"; done | sort -u | paste -sd ' ') "
    for node in $(nodes); do
        if [ "${kilobytes[$node]}" -eq 0 ] && { [ "$any" -eq 0 ] || [[ $wanted == *" $node "* ]]; }; then
            row "hugepages $node" "${found[$node]}" "$host_sh hugepages --memory 1G --node $node --persist"
        else
            row "hugepages $node" "${found[$node]}"
        fi
    done
    if has_mount 2048 || has_mount 1048576; then row hugetlbfs "$(awk '$3 == "hugetlbfs" { print $2 }' "$host_root/proc/mounts" | paste -sd ' ')"
    else row hugetlbfs "not mounted" "mount -t hugetlbfs hugetlbfs /dev/hugepages"
    fi
}

check_cores() {
    local isolated list mask busy=''
    isolated=$(isolated_cpus)
    list=$(list_of_cpus <<<"$isolated")
    if [ -z "$isolated" ]; then
        row cores "none isolated: a worker shares its core with everything else" "$host_sh cores --workers N --persist    # and the kernel command line that it prints"
        return
    fi
    row cores "isolated: $list"
    for mask in "$host_root/proc/irq/"[0-9]*/smp_affinity; do
        [ -e "$mask" ] || continue
        ! grep -qsxF "$mask" "$state/cores/unmovable" || continue
        if grep -qxF -f <(echo "$isolated") <<<"$(cpus_of_mask "$(read_value "$mask")")"; then busy+="${busy:+ }$(basename "${mask%/*}")"; fi
    done
    if [ -z "$busy" ]; then row interrupts "none on isolated CPUs"
    else row interrupts "$(wc -w <<<"$busy") may come to isolated CPUs: ${busy:0:60}" "$host_sh cores --cpus $list --persist"
    fi
}

# check_nic ADDRESS : a row, and an object for --json.
check_nic() {
    local device interface name_driver link=- speed='' width width_max found mend='' uses
    device=$pci/devices/$1
    interface=$(first_interface_of "$1")
    name_driver=$(driver_of "$1")
    if [ -n "$interface" ]; then
        link=$(read_value "$host_root/sys/class/net/$interface/operstate")
        speed=$(read_value "$host_root/sys/class/net/$interface/speed")
        [ "${speed:--1}" -gt 0 ] || speed=''
    fi
    found="${interface:-no interface}, ${name_driver:-no driver}, node $(node_of "$1"), link $link${speed:+, $speed Mb/s}"
    uses=$(lifelines_of "$1" | joined ', ')
    if [ -n "$uses" ]; then found+="; carries $uses: not to be bound"; fi
    if [[ $kBifurcatedDrivers == *" $name_driver "* ]]; then found+="; DPDK uses it beside its driver: not to be bound"; fi
    if [ -z "$name_driver" ]; then mend="$host_sh bind $1    # or load its kernel driver: modprobe $(read_value "$device/modalias")"; fi
    width=$(read_value "$device/current_link_width")
    width_max=$(read_value "$device/max_link_width")
    if [[ $width =~ ^[0-9]+$ && $width_max =~ ^[0-9]+$ ]] && [ "$width" -gt 0 ] && [ "$width" -lt "$width_max" ]; then
        found+="; PCIe x$width of x$width_max"
        mend=${mend:-"put the card into a slot with $width_max lanes, or seat it anew"}
    fi
    row "nic $1" "$found" "$mend"
    nic_json+=("{\"address\": $(json "$1"), \"interface\": $(json "$interface"), \"driver\": $(json "$name_driver"), \"node\": $(node_of "$1"), \"link\": $(json "${link#-}"), \"speed_mbps\": ${speed:-null}, \"carries\": $(json "$uses")}")
}

print_table() {
    local i width=0
    for i in "${!row_name[@]}"; do if [ "${#row_name[$i]}" -gt "$width" ]; then width=${#row_name[$i]}; fi; done
    for i in "${!row_name[@]}"; do
        printf "%-${width}s  %-4s  %s\n" "${row_name[$i]}" "${row_state[$i]}" "${row_found[$i]}"
        if [ -n "${row_mend[$i]}" ]; then printf "%-${width}s    ->  %s\n" '' "${row_mend[$i]}"; fi
    done
}

# json TEXT : a string, or null for nothing.
json() {
    local text=${1//\\/\\\\}
    if [ -z "$1" ]; then echo null; return; fi
    text=${text//\"/\\\"}
    echo "\"${text//[[:cntrl:]]/ }\""
}
print_json() {
    local i lines=()
    for i in "${!row_name[@]}"; do
        lines+=("    {\"what\": $(json "${row_name[$i]}"), \"state\": $(json "${row_state[$i]}"), \"found\": $(json "${row_found[$i]}"), \"mend\": $(json "${row_mend[$i]}")}")
    done
    echo '{"checks": ['
    printf '%s\n' "${lines[@]}" | sed '$!s/$/,/'
    echo '  ], "nics": ['
    if [ "${#nic_json[@]}" -gt 0 ]; then printf '    %s\n' "${nic_json[@]}" | sed '$!s/$/,/'; fi
    echo "  ], \"to_mend\": $(printf '%s\n' "${row_state[@]}" | grep -cx mend || true)}"
}
