# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="kill -9 the control plane, restart it"
stage=(--backends 9)

scenario() {
    serve 8
    open_connections
    kill_program lb1 fairleadd
    carry_on 2
    lab start lb1 fairleadd
    must "it agrees with the dataplane again" wait_until 10 agree
    add be9
    carry_on 2
}
