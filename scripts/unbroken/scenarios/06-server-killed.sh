# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A server dies, and its kernel resets its connections. Its clients come back, and find the others.
title="a server is killed (its kernel resets)"
stage=(--backends 8)
loses_backend=yes

scenario() {
    serve 8 '{health: {type: "tcp", interval: "500ms", timeout: "500ms", rise: 2, fall: 3}}'
    open_connections
    excuse be3
    lab kill be3 nginx KILL
    wait_for_grade be3 failing
    clients_return 30
    carry_on 2
}
