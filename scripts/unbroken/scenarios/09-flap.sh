# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A backend is dead and back again, 20 times. Its own connections may be lost each time; nobody else's.
title="a backend flaps 20 times"
stage=(--backends 8)
loses_backend=yes

scenario() {
    local flap
    serve 8 '{health: {type: "tcp", interval: "100ms", timeout: "500ms", rise: 2, fall: 3}}'
    open_connections
    for flap in $(seq 1 20); do
        excuse be3
        lab cut be3
        wait_for_grade be3 dead
        lab mend be3
        wait_for_grade be3 up
    done
    clients_return 30
    carry_on 2
}
