# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The other balancer has the same rows, and has never seen the flows that come to it.
title="kill -9 one of two balancers"
stage=(--balancers 2 --backends 8)

scenario() {
    alive=(lb1 lb2)
    serve 8
    open_connections
    begin_death lb1
    end_death
    carry_on 4
    must "the router has dropped it" routes_to 10.20.0.12
}
