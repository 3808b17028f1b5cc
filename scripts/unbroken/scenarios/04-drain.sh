# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A backend is drained; its clients go when they like; when it is empty it is removed, without force.
title="drain a backend, wait, remove it"
stage=(--backends 8)

scenario() {
    serve 8
    open_connections
    drain be3
    carry_on 1
    # shellcheck disable=SC2016
    must "a backend with connections is not removed" bash -c '! "$@" 2>/dev/null' refused \
        "$root/scripts/lab.sh" run --name "$lab_name" lb1 fairlead backend remove web "$(address be3)"
    drain_until_empty be3
    remove be3
    carry_on 2
}
