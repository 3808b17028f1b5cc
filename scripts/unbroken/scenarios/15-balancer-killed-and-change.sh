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
    took=$(since_ms "$start")
    end_death
    say "both changes took $took ms from the kill on"
    at_most "ms for both changes" "$took" 1000
    carry_on 4
    must "the router has dropped it" routes_to 10.20.0.12
}
