# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Waiting for other programs. Sourced.

# wait_until SECONDS COMMAND... : polls.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}
