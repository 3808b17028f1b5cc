#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# All scenarios of scripts/unbroken.sh, small: nothing breaks. Without second chance, what loses state while rows change does.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

unbroken() { "$root/scripts/unbroken.sh" --no-build --tap --parallel 2 --connections 500 "$@"; }
unbroken || failed_checks=1
unbroken --no-second-chance --scenario table-lost --scenario balancer-killed-and-change --scenario balancers-replaced || failed_checks=1
finish
