# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="... and a backend added, another drained, within a second"
stage=(--balancers 2 --backends 9)
loses_state=yes

scenario() {
    alive=(lb1 lb2)
    serve 8
    open_connections
    kill_balancer lb1
    add be9
    drain be3
    at_most "ms from the death to the last change" "$(since_ms "$died_ms")" 1000
    carry_on 4
    must "the router has dropped it" routes_to 10.20.0.12
}
