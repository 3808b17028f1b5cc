# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The dataplane is killed after a backend was added, and what it remembered of its connections is lost.
title="... and its connection table is lost, after an add"
stage=(--backends 9)
loses_state=yes

scenario() {
    serve 8
    open_connections
    add be9
    kill_program lb1 fairlead-dataplane
    lab forget lb1
    restart_dataplane lb1
    carry_on 2
}
