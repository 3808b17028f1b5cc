# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="three of eight disappear together and return"
stage=(--backends 8)
loses_backend=yes

scenario() {
    local host
    serve 8 '{health: {type: "tcp", interval: "200ms", timeout: "500ms", rise: 2, fall: 3}}'
    open_connections
    for host in be1 be2 be3; do excuse "$host"; done
    for host in be1 be2 be3; do lab cut "$host"; done
    for host in be1 be2 be3; do wait_for_grade "$host" dead; done
    carry_on 2
    for host in be1 be2 be3; do lab mend "$host"; done
    for host in be1 be2 be3; do wait_for_grade "$host" up; done
    clients_return 30
    carry_on 2
}
