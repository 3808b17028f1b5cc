# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="add five at once"
stage=(--backends 13)

scenario() {
    serve 8
    open_connections
    configure ".services[0].backends += $(backends_json be9 be10 be11 be12 be13)"
    carry_on 2
    must "be9 takes new connections" takes_new be9
    must "be13 takes new connections" takes_new be13
}
