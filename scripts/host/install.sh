# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The unit that runs `boot`: the package's, where there is one. Else one of a checkout's own, which runs a copy: the checkout may lie in
# /home, /root or /tmp, which the unit's sandbox does not show it. $copy/copied names what was copied, so that no more than that is removed.

kUnit=fairlead-host.service
kMountUnit=dev-hugepages1G.mount      # which it wants: it may not mount anything itself
kCopy=/usr/local/lib/fairlead
scripts=${host_scripts%/host}
copy=$host_root$kCopy
unit_directory=$host_root/etc/systemd/system

# packaged NAME : the path of a unit that a package has brought.
packaged() {
    local directory
    for directory in "$host_root/usr/lib" "$host_root/lib"; do
        if [ -e "$directory/systemd/system/$1" ]; then echo "$directory/systemd/system/$1"; return; fi
    done
}

plan_unit() {
    local unit shadows=no link=$unit_directory/multi-user.target.wants/$kUnit
    unit=$(packaged "$kUnit")
    if runs_copy; then plan_install
    elif [ -n "$unit" ] && is_unit_ours; then
        shadows=yes
        plan "rm -r $unit_directory/$kUnit $copy    # a checkout's, in the way of the package's" remove_unit
    fi
    if [ "$shadows" = yes ] || { [ ! -e "$link" ] && [ ! -L "$link" ]; }; then
        plan "systemctl enable $kUnit" enable_unit "${unit:-$unit_directory/$kUnit}" "$link"
    fi
}

# runs_copy : whether the unit is, or will be, one of a checkout's.
runs_copy() { [ -z "$(packaged "$kUnit")" ] && { [ ! -e "$unit_directory/$kUnit" ] || is_unit_ours; }; }
# An administrator's has no quotes there, or another program.
is_unit_ours() { grep -qsE '^ExecStart="[^"]*/host\.sh" boot$' "$unit_directory/$kUnit"; }
unit_text() { sed "s,^ExecStart=.*,ExecStart=\"$kCopy/host.sh\" boot," "$scripts/systemd/$kUnit"; }

plan_install() {
    # Before the copy, by which an earlier version's is known.
    if wants_mount_unit; then plan "cp $scripts/systemd/$kMountUnit $unit_directory/" install_file "$unit_directory/$kMountUnit" cat "$scripts/systemd/$kMountUnit"; fi
    if ! is_copied; then
        plan "mkdir -p $copy; cp -r $scripts/host.sh $scripts/host $scripts/systemd $copy/    # what the unit runs, where it can read it" install_copy
    fi
    if ! unit_text | cmp -s - "$unit_directory/$kUnit"; then
        plan "sed s,^ExecStart=.*,'ExecStart=\"$kCopy/host.sh\" boot', $scripts/systemd/$kUnit >$unit_directory/$kUnit" install_file "$unit_directory/$kUnit" unit_text
    fi
}
wants_mount_unit() {
    local there=$unit_directory/$kMountUnit
    if [ ! -e "$there" ]; then [ -z "$(packaged "$kMountUnit")" ]; return; fi
    cmp -s "$there" "$copy/systemd/$kMountUnit" && ! cmp -s "$there" "$scripts/systemd/$kMountUnit"
}

files_to_copy() { (cd "$scripts" && LC_ALL=C && printf '%s\n' host.sh host/*.sh "systemd/$kUnit" "systemd/$kMountUnit"); }
is_copied() {
    local file
    if [ "$scripts" -ef "$copy" ]; then return 0; fi      # it is what runs
    files_to_copy | cmp -s - "$copy/copied" || return 1
    for file in $(files_to_copy); do cmp -s "$scripts/$file" "$copy/$file" || return 1; done
}

# check_copy : before anything is changed.
check_copy() {
    if ! runs_copy || is_copied || may_copy; then return 0; fi
    die "$failure, or do without --persist; nothing was changed"
}
may_copy() {
    local file
    for file in $(files_to_copy); do
        if [ ! -e "$copy/$file" ] || grep -qsxF "$file" "$copy/copied"; then continue; fi
        failure="$copy/$file is there, and not made by this: move it away"
        return 1
    done
}

install_copy() {
    local said
    may_copy || return 1
    if said=$(copy_files 2>&1); then return 0; fi
    failure="cannot copy $scripts to $copy: ${said##*: }"
    return 1
}
# First what there will be, so that it can be removed whenever this ends.
copy_files() {
    local file mode
    install -d -m 0755 "$copy" "$copy/host" "$copy/systemd" || return 1
    for file in $(grep -sxvF -f <(files_to_copy) "$copy/copied"); do rm -f "$copy/$file" || return 1; done
    { files_to_copy >"$copy/copied" && chmod 0644 "$copy/copied"; } || return 1
    for file in $(files_to_copy); do
        mode=0644
        if [ "$file" = host.sh ]; then mode=0755; fi
        install -m "$mode" "$scripts/$file" "$copy/$file" || return 1
    done
}

# install_file PATH COMMAND... : that holds what the command prints.
install_file() {
    local said path=$1
    shift
    if said=$({ mkdir -p "${path%/*}" && "$@" >"$path"; } 2>&1); then reload_systemd; return; fi
    failure="cannot install $path: ${said##*: }"
    return 1
}

# What `systemctl enable` does; that needs a running systemd in some versions, and knows nothing of another root.
enable_unit() {
    local said
    if ! said=$({ mkdir -p "${2%/*}" && ln -sfn "${1#"$host_root"}" "$2"; } 2>&1); then failure="cannot enable $kUnit: ${said##*: }"; return 1; fi
    reload_systemd
}
reload_systemd() { if [ -z "$host_root" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi; }

# remove_unit : what plan_install made, and nothing else.
remove_unit() {
    local from file
    is_unit_ours || return 0
    rm -f "$unit_directory/$kUnit"
    for from in "$copy" "$scripts"; do
        if cmp -s "$from/systemd/$kMountUnit" "$unit_directory/$kMountUnit"; then rm -f "$unit_directory/$kMountUnit"; fi
    done
    [ -e "$copy/copied" ] || return 0
    while IFS= read -r file; do rm -f "$copy/${file:-copied}"; done <"$copy/copied"
    rm -f "$copy/copied"
    rmdir --ignore-fail-on-non-empty "$copy/host" "$copy/systemd" "$copy" 2>/dev/null || true
}
