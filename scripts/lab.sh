#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# A rack in network namespaces on this machine: clients, a router, balancers and backends (drawn in scripts/lab/plan.sh).
set -euo pipefail
# What the caller has open is none of the lab's business: a server that held the caller's pipe would keep it from ending.
for descriptor in "/proc/$$/fd/"*; do
    descriptor=${descriptor##*/}
    if [ "$descriptor" -gt 2 ] && [ "$descriptor" -ne 255 ]; then     # 255: this script, as bash reads it
        eval "exec $descriptor>&-"
    fi
done
lab_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lab
root=$(cd "$lab_scripts/../.." && pwd)

usage() {
    cat <<'END'
usage: scripts/lab.sh COMMAND [--name NAME] ...
  up [--balancers N] [--backends N] [--clients N] [--workers N] [--idle poll|backoff] [--ecmp resilient|plain]
     [--servers nginx|haproxy] [--dataplane-options WORDS] [--backend-options WORDS] [--programs DIR|none] [--owner PID]
        Starts a lab (1 balancer, 4 backends, 1 client). --servers haproxy: each backend is an HAProxy in front of all
        backends' nginx. --dataplane-options, --backend-options: more words for fairlead-dataplane and for
        fairlead-backend attach. --programs: where Fairlead's programs are (build/bin), or none: hosts without them.
        --owner: the lab ends when this process does.
  run HOST COMMAND...             runs a command on a host: client1.., router, lb1.., be1..
  status                          hosts, addresses, processes; exit code 1 if a process is not alive
  start HOST PROGRAM              starts a program that has ended: fairlead-dataplane, fairleadd, nginx, haproxy, liveness
  kill HOST PROGRAM|all [SIGNAL]  ends a program (KILL) and waits until it is gone
  cut HOST                        cuts the host's links: whatever is sent to it or by it is lost
  mend HOST                       ends that
  forget HOST                     removes what a balancer whose dataplane has ended remembers of connections
  renew HOST                      a balancer as a fresh machine: nothing runs, nothing is left of what it knew, the seed included
  directory [HOST]                where the lab, or the host, keeps its files
  down                            ends the lab: processes, namespaces, files
END
}

die() { echo "lab: $*" >&2; exit 1; }
refuse() { echo "lab: $*" >&2; usage >&2; exit 2; }

# shellcheck source=wait.sh
source "$lab_scripts/../wait.sh"
# shellcheck source=lab/plan.sh
source "$lab_scripts/plan.sh"
# shellcheck source=lab/state.sh
source "$lab_scripts/state.sh"
# shellcheck source=lab/priority.sh
source "$lab_scripts/priority.sh"
# shellcheck source=lab/process.sh
source "$lab_scripts/process.sh"
# shellcheck source=lab/network.sh
source "$lab_scripts/network.sh"
# shellcheck source=lab/servers.sh
source "$lab_scripts/servers.sh"
# shellcheck source=lab/balancers.sh
source "$lab_scripts/balancers.sh"
# shellcheck source=lab/router.sh
source "$lab_scripts/router.sh"
# shellcheck source=lab/lifecycle.sh
source "$lab_scripts/lifecycle.sh"

want_count() {
    if ! [[ $2 =~ ^[0-9]+$ ]] || [ "$2" -lt 1 ] || [ "$2" -gt "$3" ]; then
        refuse "$1 takes a number from 1 to $3, not '$2'"
    fi
}

[ $# -gt 0 ] || refuse "no command given"
command=$1
shift
owner=''
programs=$root/build/bin
while [ $# -gt 0 ]; do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --*) [ $# -ge 2 ] || refuse "$1 takes a value" ;;&
        --name) lab_name=$2 ;;
        --balancers) want_count "$1" "$2" "$kBalancerCountMax"; balancer_count=$2 ;;
        --backends) want_count "$1" "$2" "$kBackendCountMax"; backend_count=$2 ;;
        --clients) want_count "$1" "$2" "$kClientCountMax"; client_count=$2 ;;
        --workers) want_count "$1" "$2" "$kWorkerCountMax"; worker_count=$2 ;;
        --idle) idle=$2 ;;
        --ecmp) ecmp=$2 ;;
        --servers) servers=$2 ;;
        --dataplane-options) dataplane_options=$2 ;;
        --backend-options) backend_options=$2 ;;
        --programs) programs=$2 ;;
        --owner) owner=$2 ;;
        --*) refuse "unknown option $1" ;;
        *) break ;;
    esac
    shift 2
done
# A namespace's name and a path of a Unix socket are made of it.
[[ $lab_name =~ ^[a-z][a-z0-9-]{0,19}$ ]] || refuse "--name takes up to 20 of a-z, 0-9 and '-', not '$lab_name'"

case $command in
    help | --help | -h) usage; exit 0 ;;
    up | run | status | start | kill | cut | mend | forget | renew | directory | down) ;;
    *) refuse "unknown command '$command'" ;;
esac
[ "$(id -u)" -eq 0 ] || die "needs root: it makes network namespaces"
case $command in
    directory) lab_directory_of "$@" ;;
    *) "lab_$command" "$@" ;;
esac
