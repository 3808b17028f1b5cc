# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# All four backends are replaced: a new one comes, an old one is drained until its clients have gone, and is removed.
title="rolling replacement of every backend"
stage=(--backends 8)

scenario() {
    local old
    serve 4
    open_connections
    for old in 1 2 3 4; do
        add "be$((old + 4))"
        drain_until_empty "be$old"
        remove "be$old"
    done
    carry_on 2
}
