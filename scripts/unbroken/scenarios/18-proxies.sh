# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The backends are HAProxys in HTTP mode, before nginx application servers on all hosts.
title="an L7 tier: the backends are HAProxy, one is added"
stage=(--backends 5 --servers haproxy)

scenario() {
    serve 4
    open_connections
    add be5
    carry_on 2
    must "be5 takes new connections" takes_new be5
}
