# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="change weights"
stage=(--backends 8)

scenario() {
    serve 8
    open_connections
    configure '.services[0].backends |= (to_entries | map(.value + {weight: (50 + 50 * (.key % 4))}))'
    carry_on 2
    on_balancers backend set web "$(address be1)" --weight 1
    on_balancers backend set web "$(address be2)" --weight 0
    carry_on 2
}
