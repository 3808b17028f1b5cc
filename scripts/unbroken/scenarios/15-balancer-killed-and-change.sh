# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="... and a backend added, another drained, at once"
stage=(--balancers 2 --backends 9)
loses_state=yes

scenario() {
    local start took
    alive=(lb1 lb2)
    serve 8
    open_connections
    begin_death lb1
    start=$(now_ms)
    add be9
    drain be3
    end_death
    took=$(since_ms "$start")
    say "the death and both changes took $took ms"
    at_most "ms for the death and both changes, before state can have settled" "$took" 3000
    carry_on 4
    must "the router has dropped it" routes_to 10.20.0.12
}
