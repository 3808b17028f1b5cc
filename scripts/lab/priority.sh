# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What a dataplane is started by where it shares its cores. Sourced by scripts/lab.sh and by tests that start one themselves.

# On a balancer the workers have cores of their own. Here they share two with everything else, and the driver's receive queue of
# 2,048 packets is 41 ms at 50,000 packets a second: they come first whenever a packet waits.
#
# choose_dataplane_priority : sets dataplane_priority, the words before the program's.
choose_dataplane_priority() {
    dataplane_priority=(nice -n -10)
    if chrt --rr 10 true 2>/dev/null; then dataplane_priority=(chrt --rr 10); fi
}
