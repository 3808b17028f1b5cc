#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The scenarios of scripts/unbroken.sh that lose state while rows change break connections where there is no second chance:
# else they would prove nothing about it in unbroken_test.sh.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

"$root/scripts/unbroken.sh" --no-build --tap --parallel 2 --connections 500 --no-second-chance \
    --scenario table-lost --scenario balancer-killed-and-change --scenario balancers-replaced || failed_checks=1
finish
