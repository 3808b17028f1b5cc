# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The dataplane is killed after rows have changed, and finds its connections again.
title="kill -9 the dataplane, restart it"
stage=(--backends 9)

scenario() {
    serve 8
    open_connections
    add be9
    kill_program lb1 fairlead-dataplane
    restart_dataplane lb1
    at_least "connections that it found again" "$(fairlead stats -o json | jq '[.workers[].connections_adopted] | add')" "$connections"
    carry_on 2
}
