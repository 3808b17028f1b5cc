# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What is said, and the plan: each change is noted as a line of text and the words that do it; all are printed before the first is done.

host_root=${FAIRLEAD_HOST_ROOT:-}

# Where nobody listens any more (a lost terminal, a closed pipe), the work goes on.
say() { echo "host: $*" || true; }
complain() { echo "host: $*" >&2 || true; }
# Usage; the machine lacks something; anything else.
refuse() { complain "$*; scripts/host.sh --help says how it is called"; exit 2; }
lack() { complain "$*"; exit 78; }
die() { complain "$*"; exit 1; }

# undo_on_exit FUNCTION : runs it, whatever ends this script from here on. A closed pipe on standard output ends nothing.
undo_on_exit() {
    trap "$1" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    trap '' PIPE
}
undo_no_more() { trap - EXIT INT TERM HUP; }
# begin_undo : first thing in such a function.
begin_undo() {
    trap - EXIT
    trap '' INT TERM HUP
    set +e
}

plan_text=()
plan_words=()
# plan TEXT WORD... : TEXT as a command that would do the same, so that --dry-run can be read, and copied.
plan() {
    local words
    plan_text+=("$1")
    shift
    printf -v words '%q ' "$@"
    plan_words+=("$words")
}

say_plan() {
    local line
    if [ "$dry_run" = yes ]; then say "dry run: nothing is changed; this is what would be done"; else say "will do:"; fi
    for line in "${plan_text[@]}"; do echo "  $line" || true; done
}

# Stops at the first failure; `failure` says what and where.
failure=''
do_plan() {
    local words
    for words in "${plan_words[@]}"; do
        eval "$words" || return 1
    done
}

# read_value PATH : what it holds; nothing if it cannot be read. Without a process of its own: there are hundreds of them.
read_value() {
    local lines=()
    { mapfile -t lines <"$1"; } 2>/dev/null || return 0
    if [ "${#lines[@]}" -gt 0 ]; then printf '%s\n' "${lines[@]}"; fi
}

# joined SEPARATOR : the lines of standard input as one; nothing of nothing.
joined() {
    local lines text
    mapfile -t lines
    [ "${#lines[@]}" -gt 0 ] || return 0
    printf -v text "$1%s" "${lines[@]}"
    echo "${text#"$1"}"
}

# write_value VALUE PATH : in one write(), as sysfs wants it.
write_value() {
    local said
    if said=$({ printf '%s\n' "$1" >"$2"; } 2>&1); then return 0; fi
    failure="cannot write '$1' to $2: ${said##*: }"
    return 1
}
plan_write() { plan "echo '$1' >$2" write_value "$1" "$2"; }

need_number() {
    [[ $2 =~ ^[0-9]{1,9}$ ]] || refuse "$1 takes a number, not '$2'"
    [ $((10#$2)) -ge "${3:-0}" ] || refuse "$1 takes a number from ${3:-0} on, not '$2'"
}

# What changes the machine needs root; a tree that was laid out elsewhere does not.
need_root() {
    if [ "$dry_run" = yes ] || [ -n "$host_root" ] || [ "$EUID" -eq 0 ]; then return 0; fi
    die "$command changes the machine and needs root, this is $(id -un): run it with sudo, or with --dry-run to see what it would do"
}
