# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What was there before: $state/STEP/values/PATH holds the bytes of PATH from before STEP's first change. It is written before the
# change, so that --undo works after a kill at any moment. sysfs and procfs do not outlive a boot, so neither do the records.

this_boot() { read_value "$host_root/proc/sys/kernel/random/boot_id"; }

# open_state : makes the directory and holds its lock until this script ends: of two at once, the second waits.
open_state() {
    local said
    said=$(mkdir -p "$state" 2>&1) || cannot_record "$said"
    if [ -L "$state" ] || [ ! -O "$state" ]; then
        die "$state is $(stat -c %U "$state")'s, and not a directory of $(id -un)'s: what is recorded there would be written to sysfs; name another one with --state"
    fi
    said=$({ : >>"$state/lock"; } 2>&1) || cannot_record "$said"
    exec {state_lock}>>"$state/lock"
    flock --wait 120 "$state_lock" || die "$state is held by another host.sh for two minutes; wait for it, or end it"
}
cannot_record() {
    die "cannot record what is there now in $state: ${1##*: }; --undo would not work, so nothing was changed: run it as root, or name a directory with --state"
}

has_record() { [ -e "$state/$1/boot_id" ]; }

# drop_old_record STEP : what is of an earlier boot.
drop_old_record() {
    has_record "$1" || return 0
    [ "$(read_value "$state/$1/boot_id")" != "$(this_boot)" ] || return 0
    say "the record of $1 is of an earlier boot, which undid it: forgotten"
    rm -rf "${state:?}/$1"
}

begin_record() {
    local said
    has_record "$1" && return 0
    if ! said=$({ mkdir -p "$state/$1" && this_boot >"$state/$1/.boot_id" && mv "$state/$1/.boot_id" "$state/$1/boot_id"; } 2>&1); then
        failure="cannot record in $state/$1: ${said##*: }"
        return 1
    fi
}

# record_value STEP PATH : once; a later call keeps what the first found.
record_value() {
    local kept=$state/$1/values${2#"$host_root"} said
    begin_record "$1" || return 1
    [ ! -e "$kept" ] || return 0
    if ! said=$({ { [ -d "${kept%/*}" ] || mkdir -p "${kept%/*}"; } && cat "$2" >"$kept.new" && mv "$kept.new" "$kept"; } 2>&1); then
        failure="cannot record $2 in $kept: ${said##*: }"
        return 1
    fi
}

plan_record() { plan "cp $2 $state/$1/values${2#"$host_root"}" record_value "$1" "$2"; }

# recorded_paths STEP : every path that was recorded and exists, where it holds something else now.
recorded_paths() {
    local kept path
    [ -d "$state/$1/values" ] || return 0
    while IFS= read -r kept; do
        path=$host_root${kept#"$state/$1/values"}
        case ${kept#"$state/$1/values"} in
            */../* ) continue ;;
            /sys/* | /proc/*) ;;
            *) continue ;;
        esac
        if [ ! -e "$path" ]; then
            complain "$path is not there any more: nothing to put back"
        elif [ "$(read_value "$kept")" != "$(read_value "$path")" ]; then
            echo "$path"
        fi
    done < <(find "$state/$1/values" -type f ! -name '*.new' | sort -V)
}

# plan_undo STEP : what cannot be put back stays recorded, and hinders nothing else.
plan_undo() {
    local path value
    while IFS= read -r path; do
        value=$(read_value "$state/$1/values${path#"$host_root"}")
        plan "echo '$value' >$path" restore_value "$1" "$path"
    done < <(recorded_paths "$1")
    plan "rm -r $state/$1" end_record "$1"
}
restore_value() {
    local kept=$state/$1/values${2#"$host_root"}
    if write_value "$(read_value "$kept")" "$2"; then return 0; fi
    complain "$failure"
    not_restored+=("$2")
}
not_restored=()
end_record() {
    if [ "${#not_restored[@]}" -eq 0 ]; then rm -rf "${state:?}/$1"; return; fi
    failure="${#not_restored[@]} values could not be put back"
    return 1
}
