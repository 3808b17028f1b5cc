# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="add a backend"
stage=(--backends 9)

scenario() {
    serve 8
    open_connections
    add be9
    carry_on 2
    must "be9 takes new connections" takes_new be9
}
