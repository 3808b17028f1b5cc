# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="... and a backend added, another drained, within a second"
stage=(--balancers 2 --backends 9)
loses_state=yes

scenario() {
    local start
    alive=(lb1 lb2)
    serve 8
    open_connections
    begin_death lb1
    start=$(now_ms)
    add be9
    drain be3
    end_death
    at_most "ms for the death and both changes" "$(since_ms "$start")" 1000
    carry_on 4
    must "the router has dropped it" routes_to 10.20.0.12
}
