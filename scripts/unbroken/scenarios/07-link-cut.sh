# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A backend falls silent. Once it counts as dead its flows go to others, whose kernels reset them: so its clients learn it
# from their next packet, and come back.
title="a backend's link is cut (silence)"
stage=(--backends 8)
loses_backend=yes

scenario() {
    local -r interval_ms=500 timeout_ms=250 fall=3
    # The link may be cut just after a probe, and the last probe runs into its timeout. Then a generation is made and adopted,
    # here on a machine that does a rack's work.
    local -r wait_max_ms=$((fall * interval_ms + timeout_ms + 500))
    serve 8 "{health: {type: \"tcp\", interval: \"${interval_ms}ms\", timeout: \"${timeout_ms}ms\", rise: 2, fall: $fall}}"
    open_connections
    excuse be3
    lab cut be3
    wait_for_grade be3 dead
    carry_on "$((connections / 1250 + 2))"       # until each of its clients has asked in vain
    clients_return 30
    say "clients are served again after at most $(field .resumption.longest_ms) ms; less the retransmission timeout that each \
waited out, $(field .resumption.longest_beyond_timeout_ms) ms; fall x interval is $((fall * interval_ms)) ms"
    at_most "ms until clients are served again, less one retransmission timeout" \
        "$(field .resumption.longest_beyond_timeout_ms)" "$wait_max_ms"
}
