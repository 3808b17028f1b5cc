# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What --persist notes in /etc/fairlead/host.conf, a line a command, and `boot`, which does it again. fairlead-host.service runs that
# before the network is configured, so each NIC is noted with what it is (PCI ids and hardware address): where cards have been
# moved, the address names another one, and that is not bound. The unit's files are install.sh's.

conf=$host_root/etc/fairlead/host.conf

conf_lines() { [ ! -e "$conf" ] || grep -vE '^[[:space:]]*(#|$)' "$conf" 2>/dev/null || true; }
is_noted() { grep -qxF -- "$1" <<<"$(conf_lines)"; }
is_pending() { grep -qsxF -- "$1" "$state/bind/pending"; }

identity_of() {
    local device interface mac
    device=$pci/devices/$1
    interface=$(first_interface_of "$1")
    if [ -n "$interface" ]; then mac=$(read_value "$host_root/sys/class/net/$interface/address"); else mac=$(read_value "$state/bind/$1/address"); fi
    echo "$(read_value "$device/vendor"):$(read_value "$device/device")${mac:+@$mac}"
}

note_of_nic() {
    echo "bind $1 --driver $driver --identity $(identity_of "$1")$([ "$really" -lt 2 ] || echo ' --really --really')"
}

# plan_notes LINE... : last of a plan, so that what ends early has noted nothing.
plan_notes() {
    local line
    check_copy
    plan_unit
    for line in "$@"; do plan_note "$line"; done
}

# Notes of NICs that are not confirmed yet wait for it.
plan_notes_of_nics() {
    local line pending=$state/bind/pending waits=no
    local -a lines=()
    if [ -n "${option[confirm-within]:-}" ] && [ "${#to_bind[@]}" -gt 0 ]; then waits=yes; fi
    if [ -e "$state/bind/unconfirmed" ]; then waits=yes; fi
    for address in "${addresses[@]}"; do
        line=$(note_of_nic "$address")
        if is_noted "$line" || { [ "$waits" = yes ] && is_pending "$line"; }; then continue; fi
        if [ "$waits" = yes ]; then
            plan "echo '$line' >>$pending    # into $conf when it is confirmed" append_line "$line" "$pending"
        else
            lines+=("$line")
        fi
    done
    if [ "$waits" = yes ]; then check_copy; else plan_notes "${lines[@]}"; fi
}

append_line() {
    local said
    keep_notes "$2"
    if said=$({ mkdir -p "${2%/*}" && printf '%s\n' "$1" >>"$2"; } 2>&1); then return 0; fi
    failure="cannot write $2: ${said##*: }"
    return 1
}

# plan_note LINE : instead of the line for the same thing, if there is one.
plan_note() {
    is_noted "$1" && return 0
    plan_removal "$(noted_thing "$1")"
    plan "echo '$1' >>$conf" append_line "$1" "$conf"
}
# noted_thing LINE : the beginning that one line of the file has: "bind ADDRESS", "hugepages --size 2M --node 0 --count", "cores --cpus".
# Up to --count, so that a note of the whole machine's hugepages is another thing than those of its nodes.
noted_thing() {
    case $1 in
        bind\ *) cut -d ' ' -f 1,2 <<<"$1" ;;
        *) sed -E 's/ (--count|--cpus) .*/ \1/' <<<"$1" ;;
    esac
}
plan_removal() {
    if grep -qE "^$1( |\$)" <<<"$(conf_lines)"; then plan "sed -i -E '/^$1( |\$)/d' $conf" remove_lines "$1"; fi
}
remove_lines() {
    local said
    keep_notes "$conf"
    if said=$(sed -i -E "/^$1( |\$)/d" "$conf" 2>&1); then return 0; fi
    failure="cannot write $conf: ${said##*: }"
    return 1
}

# What fails puts the files back as they were before their first change.
declare -A notes_were=()
keep_notes() { if [ -z "${notes_were[$1]+kept}" ]; then notes_were[$1]=$(read_value "$1"); fi; }
put_back_notes() {
    local file
    for file in "${!notes_were[@]}"; do
        if [ -z "${notes_were[$file]}" ]; then rm -f "$file"; continue; fi
        { printf '%s\n' "${notes_were[$file]}" >"$file.new" && mv "$file.new" "$file"; } || complain "$file keeps what this run noted: look through it"
    done
}

# plan_forget THING... : the notes of NICs, or all of "hugepages" or "cores"; with the last one goes the unit.
plan_forget() {
    local thing pattern=''
    [ -e "$conf" ] || return 0
    for thing in "$@"; do
        [[ $thing =~ ^($kAddress)$ ]] && thing="bind $thing"
        plan_removal "$thing"
        pattern+="${pattern:+|}$thing"
    done
    [ -n "$pattern" ] || return 0
    if [ -n "$(conf_lines | grep -vE "^($pattern)( |\$)")" ]; then return 0; fi
    plan "systemctl disable $kUnit; rm $conf" disable_unit
}
disable_unit() {
    rm -f "$conf" "$unit_directory/multi-user.target.wants/$kUnit"
    remove_unit
    rmdir --ignore-fail-on-non-empty "${conf%/*}" "$unit_directory/multi-user.target.wants" 2>/dev/null || true
    reload_systemd
}

host_boot() {
    local line status=0 words
    need_root
    if [ ! -e "$conf" ]; then say "nothing to do: there is no $conf"; return; fi
    while IFS= read -r line; do
        read -ra words <<<"$line"
        case ${words[0]} in
            bind | hugepages | cores) ;;
            *) complain "$conf: '$line': neither bind nor hugepages nor cores; left out"; status=78; continue ;;
        esac
        say "$conf: $line"
        if [ "$dry_run" = yes ]; then words+=(--dry-run); fi
        "$host_sh" "${words[@]}" --state "$state" || { status=$?; complain "$conf: '$line' failed"; }
    done < <(conf_lines)
    return "$status"
}

# check_identity ADDRESS : is it still the card that was noted?
check_identity() {
    local noted=${option[identity]:-} is
    [ -n "$noted" ] || return 0
    is=$(identity_of "$1")
    # Without an interface there is no hardware address to compare.
    if [[ $is != *@* ]]; then noted=${noted%@*}; fi
    [ "$is" = "$noted" ] || lack "$1: is another card now ($is) than was noted ($noted): not bound; bind the one you mean with --persist, and remove the line from $conf"
}
