#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Makes a server ready for Fairlead, and undoes it: looks at the machine, takes hugepages, hands NICs to DPDK, keeps cores free.
# Every command says what it will do before it does it; --dry-run leaves it at that, --undo puts back what was there.
set -euo pipefail
host_scripts=$(readlink -f "${BASH_SOURCE[0]}")
host_scripts=${host_scripts%/*}/host
host_sh=${host_scripts%/host}/host.sh

usage() {
    cat <<'END'
usage: scripts/host.sh COMMAND [--dry-run] [--undo] [--state DIR] ...
  check [--json]                  what this machine has, and the command that mends what it lacks; exit code 0 if nothing is to be mended
  hugepages --count N | --memory SIZE [--size 2M|1G] [--node K] [--persist]
                                  has the kernel keep at least so many (SIZE: 512M, 4G); of NUMA node K, or spread over all
  bind NIC... [--driver vfio-pci|uio_pci_generic] [--confirm-within SECONDS] [--persist] [--really --really]
                                  hands NICs to DPDK: by PCI address (0000:03:00.0, 03:00.0) or interface name; all of them or none.
                                  Refuses the interface of a default route or of an SSH session unless told twice.
                                  --confirm-within: puts them back unless `host.sh bind --confirm` comes in time
  bind --confirm                  keeps what was bound with --confirm-within
  unbind NIC... | --all           back to the driver, interface name, addresses and routes that were there
  cores --workers N [--nic NIC | --node K | --cpus LIST] [--persist]
                                  chooses CPUs for the workers, moves interrupts and kernel work off them, and prints the kernel
                                  command line and the dataplane's --lcores
  boot                            does again what --persist noted in /etc/fairlead/host.conf (fairlead-host.service)
  --dry-run     prints what would be done, changes nothing
  --undo        puts back what the command found at its first change, and forgets what it noted for the next boot
  --state DIR   where that is recorded (/var/lib/fairlead-host)
exit codes: 0 done, or nothing to do; 1 it failed, and was put back; 2 usage; 78 the machine has not what is needed
environment: FAIRLEAD_HOST_ROOT=DIR goes before /sys, /proc, /etc and /var
END
}

# shellcheck source=host/say.sh
source "$host_scripts/say.sh"
# shellcheck source=host/record.sh
source "$host_scripts/record.sh"
# shellcheck source=host/nic.sh
source "$host_scripts/nic.sh"
# shellcheck source=host/lifeline.sh
source "$host_scripts/lifeline.sh"
# shellcheck source=host/interface.sh
source "$host_scripts/interface.sh"
# shellcheck source=host/bind.sh
source "$host_scripts/bind.sh"
# shellcheck source=host/unbind.sh
source "$host_scripts/unbind.sh"
# shellcheck source=host/confirm.sh
source "$host_scripts/confirm.sh"
# shellcheck source=host/install.sh
source "$host_scripts/install.sh"
# shellcheck source=host/boot.sh
source "$host_scripts/boot.sh"
# shellcheck source=host/hugepages.sh
source "$host_scripts/hugepages.sh"
# shellcheck source=host/cpus.sh
source "$host_scripts/cpus.sh"
# shellcheck source=host/cores.sh
source "$host_scripts/cores.sh"
# shellcheck source=host/check.sh
source "$host_scripts/check.sh"

[ $# -gt 0 ] || refuse "no command given"
command=$1
shift
case $command in
    help | --help | -h) usage; exit 0 ;;
    check | hugepages | bind | unbind | cores | boot) ;;
    *) refuse "unknown command '$command'" ;;
esac

takes_value() {      # of the options that do
    case $1 in
        --state | --count | --memory | --size | --node | --driver | --confirm-within | --workers | --nic | --cpus | --identity | --rollback-after | --token) return 0 ;;
    esac
    return 1
}
allowed_options() {
    case $command in
        check) echo --json --state ;;
        hugepages) echo --dry-run --undo --state --count --memory --size --node --persist ;;
        bind) echo --dry-run --undo --state --driver --confirm-within --confirm --persist --really --identity --rollback-after --token ;;
        unbind) echo --dry-run --undo --state --all ;;
        cores) echo --dry-run --undo --state --workers --nic --node --cpus --persist ;;
        boot) echo --dry-run --state ;;
    esac
}
declare -A option=()
really=0
words=()
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; takes_value "$1" || refuse "$1 takes no value" ;;
    esac
    case $1 in
        -*) [[ " $(allowed_options) " == *" $1 "* ]] || refuse "$command takes no option $1" ;;&
        --really) really=$((really + 1)) ;;
        --*)
            if takes_value "$1"; then
                [ $# -ge 2 ] || refuse "$1 takes a value"
                option[${1#--}]=$2
                shift
            else
                option[${1#--}]=yes
            fi ;;
        *) words+=("$1") ;;
    esac
    shift
done
dry_run=${option[dry-run]:-no}
# Not in /var/lib/fairlead: that is the daemons' user's, and what is recorded here root writes to sysfs.
state=${option[state]:-$host_root/var/lib/fairlead-host}
case $command in
    bind | unbind) ;;
    *) [ "${#words[@]}" -eq 0 ] || refuse "$command takes no '${words[0]}'" ;;
esac
"host_$command" "${words[@]}"
