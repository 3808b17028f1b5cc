# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154  # who sources this reads failed_checks and is_done, and sets test_name
# Checks that print TAP lines ("ok - ...", "not ok - ..."), which scripts/test.sh counts; lines with '#' say what was measured.
# Sourced by the tests in shell, which set test_name, and tell at their end whether is_done and failed_checks are as they must be.
failed_checks=0
is_done=no

# The last line of each test: without it the test counts as failed.
finish() { is_done=yes; exit 0; }

note() { echo "# $*"; }

check() {                      # check TEXT COMMAND...
    local text=$1
    shift
    if "$@"; then
        echo "ok - $test_name: $text"
    else
        echo "not ok - $test_name: $text"
        failed_checks=$((failed_checks + 1))
    fi
}

quietly() { "$@" >/dev/null 2>&1; }

# compare LEFT OPERATOR RIGHT : numbers, integers or not, and what awk reckons with them. What is no number, such as jq's null, compares with nothing.
compare() {
    local sum='^[-+*/(). 0-9eE]*[0-9][-+*/(). 0-9eE]*$'
    if [[ $1 =~ $sum && $3 =~ $sum ]] && awk "BEGIN { exit !(($1) $2 ($3)) }"; then return 0; fi
    echo "# $1 $2 $3 does not hold"
    return 1
}

same() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; return 1; }; }
