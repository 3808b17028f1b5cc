#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2154  # settings is written by run.sh
# The guest's first process on the host's root: runs the cases, one after another, and ends the guest. Its standard output is the
# console; what a case prints goes to the second serial port, where run.sh reads it.
set -uo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
end() { echo b >/proc/sysrq-trigger; sleep 10; }
trap end EXIT

mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts devpts /dev/pts
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/netns
ln -s /proc/self/fd /dev/fd      # there is no udev to do it
hostname guest
ip link set lo up
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo

# shellcheck source=/dev/null
source /run/vm/settings
root=$(cd "$here/../../.." && pwd)
export programs build root
while read -r name <&3; do
    began=${EPOCHREALTIME/[.,]/}
    case_name=$name bash "$here/cases/$name.sh" >/dev/ttyS1
    printf '# %s took %d ms\n# end of %s\n' "$name" $(((${EPOCHREALTIME/[.,]/} - began) / 1000)) "$name" >/dev/ttyS1
done 3</run/vm/cases
# The fourth serial port is the terminal of who runs run.sh --shell.
[ "$shell" = no ] || TERM=linux setsid --ctty --wait bash -i </dev/ttyS3 >/dev/ttyS3 2>&1
