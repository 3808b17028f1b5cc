# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# hugepages: has the kernel keep at least so many. It gives what it can find in one piece, silently less than asked; then what was there
# before is put back.

kHugepageSizes=([2048]=2M [1048576]=1G)

# kilobytes_of SIZE : of 512M, 4G, or a number of bytes.
kilobytes_of() {
    [[ ${1^^} =~ ^([0-9]{1,9})([KMGT]?)(I?B)?$ ]] || refuse "'$1' is no size: 512M, 4G"
    local number=$((10#${BASH_REMATCH[1]}))
    case ${BASH_REMATCH[2]} in
        '') echo $(((number + 1023) / 1024)) ;;
        K) echo "$number" ;;
        M) echo $((number * 1024)) ;;
        G) echo $((number * 1048576)) ;;
        T) echo $((number * 1073741824)) ;;
    esac
}
readable_kilobytes() {
    if [ "$1" -ge 1048576 ]; then awk -v k="$1" 'BEGIN { printf "%.4g GB", k / 1048576 }'; else echo "$(($1 / 1024)) MB"; fi
}

hugepage_directory() {      # of KILOBYTES [NODE]
    if [ -n "${2:-}" ]; then echo "$host_root/sys/devices/system/node/node$2/hugepages/hugepages-$1kB"
    else echo "$host_root/sys/kernel/mm/hugepages/hugepages-$1kB"; fi
}

host_hugepages() {
    need_root
    if [ "${option[undo]:-no}" = yes ]; then undo_hugepages; return; fi
    local page pages count has directory place before='' recorded_before='' mounted=no
    case ${option[size]:-2M} in
        2M | 2m) page=2048 ;;
        1G | 1g) page=1048576 ;;
        *) refuse "--size takes 2M or 1G, not '${option[size]}'" ;;
    esac
    if [ -n "${option[count]:-}" ] && [ -n "${option[memory]:-}" ]; then refuse "--count or --memory, not both"; fi
    if [ -n "${option[memory]:-}" ]; then
        count=$(kilobytes_of "${option[memory]}") || exit 2
        count=$(((count + page - 1) / page))
    else
        [ -n "${option[count]:-}" ] || refuse "hugepages takes --count N or --memory SIZE"
        need_number --count "${option[count]}"
        count=$((10#${option[count]}))
    fi
    directory=$(find_hugepages "$page") || exit
    place=${option[node]:+ on node ${option[node]}}
    pages=$directory/nr_hugepages
    has=$(read_value "$pages")
    if [ "$has" -lt "$count" ]; then
        check_memory $(((count - has) * page))
        plan_record hugepages "$pages"
        plan "echo '$count' >$pages" write_pages
    fi
    plan_mount "$page"
    if [ -n "${option[persist]:-}" ]; then
        plan_notes "hugepages --size ${kHugepageSizes[$page]}${option[node]:+ --node ${option[node]}} --count $count"
    fi
    if [ "${#plan_text[@]}" -eq 0 ]; then
        say "nothing to do: there are $has hugepages of ${kHugepageSizes[$page]}$place, $(read_value "$directory/free_hugepages") free; $count are wanted"
        return
    fi
    say_plan
    [ "$dry_run" = no ] || return 0
    open_state
    drop_old_record hugepages
    if has_record hugepages; then recorded_before=yes; fi
    take_hugepages
}

take_hugepages() {
    local got failure_code=1
    undo_on_exit give_back_hugepages
    do_plan || exit "$failure_code"
    undo_no_more
    got=$(read_value "$pages")
    say "there are $got hugepages of ${kHugepageSizes[$page]}$place ($(readable_kilobytes $((got * page)))), $(read_value "$directory/free_hugepages") free"
    for_each_node "$page"
}
# check_memory KILOBYTES : asked for too much, the kernel would take all that is free, and other programs be killed for want of it.
check_memory() {
    local available
    if [ -n "${option[node]:-}" ]; then
        available=$(sed -nE 's/^Node [0-9]+ MemFree: +([0-9]+) kB$/\1/p' "$host_root/sys/devices/system/node/node${option[node]}/meminfo")
    else
        available=$(sed -nE 's/^MemAvailable: +([0-9]+) kB$/\1/p' "$host_root/proc/meminfo")
    fi
    [ "$1" -gt "${available:-0}" ] || return 0
    lack "hugepages: needs $(readable_kilobytes "$1") more$place, $(readable_kilobytes "${available:-0}") are free: ask for fewer, or free memory"
}

write_pages() {
    local got
    # Another run may have taken more since this one was planned.
    got=$(read_value "$pages")
    [ "$got" -lt "$count" ] || return 0
    before=$got
    write_value "$count" "$pages" || return 1
    got=$(read_value "$pages")
    [ "$got" -lt "$count" ] || return 0
    failure_code=78
    failure="needs $count hugepages of ${kHugepageSizes[$page]}$place ($(readable_kilobytes $((count * page)))), the kernel gave $got ($(readable_kilobytes $((got * page)))): ask for fewer, free memory, or take them at boot, before memory is in pieces: $(boot_words "$page" "$count")"
    return 1
}
boot_words() {
    if [ "$1" = 2048 ]; then echo "hugepages=$2"; else echo "hugepagesz=1G hugepages=$2"; fi
}

# for_each_node KILOBYTES : how they are spread, where there is more than one node.
for_each_node() {
    local node
    [ "$(nodes | wc -l)" -gt 1 ] || return 0
    for node in $(nodes); do say "  node $node: $(read_value "$(hugepage_directory "$1" "$node")/nr_hugepages")"; done
}
nodes() {
    local node
    for node in "$host_root/sys/devices/system/node/node"[0-9]*; do if [ -d "$node" ]; then echo "${node##*/node}"; fi; done | sort -n
}

find_hugepages() {
    local directory
    if [ -n "${option[node]:-}" ]; then
        need_number --node "${option[node]}"
        [ -d "$host_root/sys/devices/system/node/node${option[node]}" ] || lack "--node ${option[node]}: this machine has node $(nodes | joined ' ')"
    fi
    directory=$(hugepage_directory "$1" "${option[node]:-}")
    [ -e "$directory/nr_hugepages" ] || lack "no hugepages of ${kHugepageSizes[$1]} here ($directory is not there): the CPU or the kernel lacks them; take --size $([ "$1" = 2048 ] && echo 1G || echo 2M)"
    echo "$directory"
}

# Back to what was there before this run, which --undo's record may be older than.
give_back_hugepages() {
    local status=$? said=$failure
    begin_undo
    put_back_notes
    if [ -n "$before" ]; then write_value "$before" "$pages" || said+="; and $failure"; fi
    if [ "$mounted" = yes ]; then undo_mount "$page"; fi
    if [ -z "$recorded_before" ]; then rm -rf "${state:?}/hugepages"; fi
    complain "hugepages: ${said:-interrupted}; there are $(read_value "$pages") again, as before"
    exit "$status"
}

# plan_mount KILOBYTES : the dataplane keeps its connection tables in files on a hugetlbfs.
plan_mount() {
    local where=$host_root/dev/hugepages
    if has_mount "$1"; then return 0; fi
    if [ "$1" = 1048576 ]; then where+=1G; fi
    plan "mkdir -p $where; mount -t hugetlbfs -o pagesize=${kHugepageSizes[$1]} hugetlbfs $where" mount_hugepages "$1" "$where"
}
# The kernel names sizes in K and M only: 1024M.
has_mount() {
    local options
    while read -r _ _ type options _; do
        [ "$type" = hugetlbfs ] || continue
        if [[ ,$options, == *,pagesize=$(($1 / 1024))M,* ]]; then return 0; fi
        if [[ $options != *pagesize=* ]] && [ "$1" = 2048 ]; then return 0; fi
    done < <(cat "$host_root/proc/mounts" 2>/dev/null)
    return 1
}
mount_hugepages() {
    local said
    if has_mount "$1"; then return 0; fi
    begin_record hugepages || return 1
    mounted=yes
    if said=$({ echo "$2" >"$state/hugepages/mount-$1" && mkdir -p "$2" && mount -t hugetlbfs -o "pagesize=${kHugepageSizes[$1]}" hugetlbfs "$2"; } 2>&1); then return 0; fi
    rm -f "$state/hugepages/mount-$1"
    failure="cannot mount hugetlbfs on $2: ${said##*: }"
    return 1
}
undo_mount() {
    local kept=$state/hugepages/mount-$1 said
    [ -e "$kept" ] || return 0
    if ! said=$(umount "$(cat "$kept")" 2>&1); then complain "${said##*umount: }"; return 0; fi
    rmdir --ignore-fail-on-non-empty "$(cat "$kept")" 2>/dev/null || true
    rm -f "$kept"
}

undo_hugepages() {
    local kept
    if [ "$dry_run" = no ]; then open_state; drop_old_record hugepages; fi
    for kept in "$state"/hugepages/mount-*; do
        if [ -e "$kept" ]; then plan "umount $(cat "$kept")" undo_mount "${kept##*-}"; fi
    done
    if has_record hugepages; then plan_undo hugepages; fi
    plan_forget hugepages
    if [ "${#plan_text[@]}" -eq 0 ]; then say "nothing to do: no hugepages were taken by this since the machine was started"; return; fi
    say_plan
    [ "$dry_run" = no ] || return 0
    do_plan || die "hugepages: $failure; the rest stays recorded in $state/hugepages"
    say "put back"
}
