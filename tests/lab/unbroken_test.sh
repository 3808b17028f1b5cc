#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# All scenarios of scripts/unbroken.sh, small: nothing breaks.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

"$root/scripts/unbroken.sh" --no-build --tap --parallel 2 --connections 500 || failed_checks=1
finish
