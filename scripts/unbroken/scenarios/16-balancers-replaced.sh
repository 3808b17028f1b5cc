# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Fresh machines take the balancers' places, with their state but none of their connections.
title="both balancers replaced, a backend added between"
stage=(--balancers 2 --backends 9)
loses_state=yes

scenario() {
    alive=(lb1 lb2)
    serve 8
    open_connections
    replace_balancer lb1
    carry_on 2
    add be9
    replace_balancer lb2
    carry_on 3
    must "both have the same rows and history" same_digests
}

same_digests() {
    [ "$(balancer=lb1 digests)" = "$(balancer=lb2 digests)" ]
}
digests() { fairlead status -o json | jq -c '.services | map([.rows_digest, .history_digest])'; }
