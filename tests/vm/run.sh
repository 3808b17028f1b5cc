#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Fairlead on PCI NICs, in a virtual machine: Debian's own 6.1 kernel, an emulated IOMMU, emulated NICs bound to vfio-pci, real
# TCP through them. Software emulation: needs no KVM, and says nothing about speed. Prints TAP lines as tests/lab does.
#
# The guest sees the host's root read-only, and so this checkout and what was built in it (scripts/build.sh; not with --cpu native, whose
# instructions the emulated CPU may lack). Each case is a file in guest/cases/, run in the order of their names; what cases share is in guest/*.sh.
#
# When a case fails:
#   tests/vm/run.sh --keep CASE       keeps the run directory and says where: console (the guest's kernel), tap (what the cases printed),
#                                     monitor.out (QEMU's monitor), guest/ (logs of the daemons, that the guest wrote)
#   tests/vm/run.sh --console CASE    shows the guest's console too, as it goes
#   tests/vm/run.sh --shell [CASE]    afterwards a shell in the guest, on this terminal, with everything as the cases have left it; `exit` ends it
# What a guest's script prints to standard error goes to the console; `set -x` in a case shows there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=kernel.sh
source "$here/kernel.sh"
# shellcheck source=machine.sh
source "$here/machine.sh"

limit=1100    # seconds of a guest, which takes four and a half minutes on a machine without other work; scripts/test.sh gives all twenty
mapfile -t all_cases < <(cd "$here/guest/cases" && printf '%s\n' *.sh | sed 's/\.sh$//')
usage() {
    cat <<END
usage: tests/vm/run.sh [--keep] [--console] [--shell] [--limit SECONDS] [--no-install] [CASE...]
  CASE          without any, all: ${all_cases[*]}
  --keep        keeps the run directory
  --console     shows the guest's console on standard error
  --shell       when the cases are done (without any, at once), a shell in the guest on this terminal; there is no limit of time
  --limit       how long the guest may take ($limit), for a machine that has other work
  --no-install  installs no packages
END
}
refuse() { echo "vm: $*" >&2; usage >&2; exit 2; }

keep=no console=no shell=no install=yes cases=()
while [ $# -gt 0 ]; do
    case $1 in
        --keep) keep=yes ;;
        --console) console=yes ;;
        --shell) shell=yes; [ -t 0 ] || refuse "--shell needs a terminal" ;;
        --limit) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || refuse "--limit takes seconds, not '${2:-}'"; limit=$2; shift ;;
        --no-install) install=no ;;
        -h | --help) usage; exit 0 ;;
        -*) refuse "unknown option $1" ;;
        *) [ -f "$here/guest/cases/$1.sh" ] || refuse "no case '$1'"; cases+=("$1") ;;
    esac
    shift
done
[ "${#cases[@]}" -gt 0 ] || [ "$shell" = yes ] || cases=("${all_cases[@]}")
if [ "$(id -u)" -ne 0 ]; then
    echo "ok - vm # SKIP needs root: it makes a network namespace with taps"
    exit 0
fi
case $root in
    *[[:space:],]*) refuse "the guest cannot be told of a checkout whose path holds blanks or commas: $root" ;;
esac
export FAIRLEAD_PROGRAMS=${FAIRLEAD_PROGRAMS:-$root/build/bin}
[ -x "$FAIRLEAD_PROGRAMS/fairlead-dataplane" ] || { echo "vm: no programs in $FAIRLEAD_PROGRAMS; scripts/build.sh makes them" >&2; exit 2; }
built_for=$(meson introspect "$FAIRLEAD_PROGRAMS/.." --buildoptions 2>/dev/null | jq -r '.[] | select(.name == "cpu").value' || true)
if [ "$built_for" = native ]; then
    echo "vm: $FAIRLEAD_PROGRAMS is built for this machine's CPU, the guest's has x86-64-v3; scripts/build.sh --cpu x86-64-v3 --directory DIR, FAIRLEAD_PROGRAMS=DIR/bin" >&2
    exit 2
fi

run='' relays=() showing='' terminal=''
# shellcheck disable=SC2317  # called by the trap
end() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    end_machine
    [ "${#relays[@]}" -eq 0 ] || kill "${relays[@]}" 2>/dev/null || true
    [ -z "$showing" ] || kill "$showing" 2>/dev/null || true
    [ -z "$terminal" ] || stty "$terminal"
    if [ "$keep" = yes ]; then echo "# the run directory: $run" >&2
    else rm -rf "$run"; fi
    exit "$status"
}
run=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-vm.XXXXXX")
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

[ "$install" = no ] || install_packages run vm >&2
prepare_kernel
mkdir "$run/guest"
: >"$run/tap"
: >"$run/console"
for name in "${cases[@]}"; do echo "$name"; done >"$run/guest/cases"
printf '%s=%q\n' programs "$FAIRLEAD_PROGRAMS" build "$(dirname "$FAIRLEAD_PROGRAMS")" shell "$shell" >"$run/guest/settings"
describe_machine "vm_here=$here"
start_machine
if [ "$console" = yes ]; then
    tail -n +1 -f -s 0.2 "$run/console" >&2 &
    relays+=("$!")
fi
if [ "$shell" = yes ]; then
    terminal=$(stty -g)
    stty raw -echo opost
    cat "$run/shell.out" &
    relays+=("$!")
    cat <&0 >"$run/shell.in" &
    relays+=("$!")
fi
# Until the guest has ended, or its time is over, or a signal comes: bash runs no trap while it waits for a process of the foreground.
[ "$shell" = no ] || limit=infinity
timeout --foreground "$limit" tail -n +1 -f -s 0.2 --pid="$machine_pid" "$run/tap" &
showing=$!
wait "$showing" || true
showing=''
status=0
if kill -0 "$machine_pid" 2>/dev/null; then
    echo "not ok - vm: the guest did not end within $limit s"
    status=1
fi
end_machine
for name in "${cases[@]}"; do
    grep -qx "# end of $name" "$run/tap" && continue
    echo "not ok - vm: $name did not come to its end"
    status=1
done
! grep -q '^not ok' "$run/tap" || status=1
if [ "$status" -ne 0 ]; then
    { echo "# the end of the guest's console:"; tail -n 30 "$run/console" | tr -d '\r' | sed 's/^/#   /'; sed 's/^/#   qemu: /' "$run/qemu.log"; } >&2
fi
exit "$status"
