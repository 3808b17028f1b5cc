# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A backend answers its health check with 503, and its connections as before: it gets no new ones and keeps what it has.
title="a health check fails (503), its connections work"
stage=(--backends 8)

scenario() {
    serve 8 '{health: {type: "http", path: "/health", interval: "500ms", timeout: "500ms", rise: 2, fall: 3}}'
    open_connections
    touch "$(lab directory be3)/www/unhealthy"
    wait_for_grade be3 failing
    carry_on 3
    must "be3 takes no new connections" eval '! takes_new be3'
    rm "$(lab directory be3)/www/unhealthy"
    wait_for_grade be3 up
    must "be3 takes new connections again" takes_new be3
}
