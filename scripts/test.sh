#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Every test: installs what is missing, builds, runs unit, packet and fuzz tests, the lab's tests, the unit tests again under
# sanitizers, then the packages', the virtual machine's and the demo. Closes with the line "N passed, N failed, N skipped".
#
# The lab's tests wait most of their time. What sanitizers need is compiled beside them, by processes that get hardly
# any of a core that somebody else wants (SCHED_IDLE).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=wait.sh
source "$root/scripts/wait.sh"

readonly kPhases=(meson lab sanitizers package vm demo)
usage() {
    cat <<END
usage: scripts/test.sh [PHASE...]
  without arguments, all phases: ${kPhases[*]}
END
}
phases=()
for argument in "$@"; do
    case $argument in
        -h | --help) usage; exit 0 ;;
        meson | lab | sanitizers | package | vm | demo) phases+=("$argument") ;;
        *) echo "test: unknown phase '$argument'" >&2; usage >&2; exit 2 ;;
    esac
done
[ "${#phases[@]}" -gt 0 ] || phases=("${kPhases[@]}")

results=$(mktemp -d)
compiler=''      # what compiles beside the lab's tests
# shellcheck disable=SC2317  # called by the trap
end() {
    end_compiling
    rm -rf "$results"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wants() { [[ " ${phases[*]} " == *" $1 "* ]]; }
step() { printf '\n== %s (%d s since the start)\n' "$*" "$SECONDS"; }
failed_step() { echo "$2" >"$results/$1.failed"; }

# run_meson NAME DIRECTORY OPTION... : `meson test` there; it builds first what the tests need.
run_meson() {
    local name=$1 directory=$2
    shift 2
    # GoogleTest programs that crash write no report; an old one would pass for theirs.
    rm -f "$directory"/meson-logs/testlog.* "$directory"/*.xml
    mkdir -p "$results/$name.gtest"
    GTEST_OUTPUT="xml:$results/$name.gtest/" meson test -C "$directory" --print-errorlogs "$@" || true
    if [ -f "$directory/meson-logs/testlog.junit.xml" ]; then
        cp "$directory/meson-logs/testlog.junit.xml" "$results/$name.junit.xml"
        cp "$directory/meson-logs/testlog.json" "$results/$name.json"
    else
        failed_step "$name" "does not build, or its tests did not run"
    fi
}

configure_sanitized() { "$root/scripts/build.sh" --no-install --sanitize "$1" --directory "$2" --configure-only; }

# targets_of DIRECTORY SUITE : what ninja has to build for the tests of that suite.
targets_of() {
    meson introspect "$1" --tests --targets |
        jq -r --arg directory "$(cd "$1" && pwd)/" --arg suite "$2" '
            [.tests[] | select(.suite | any(. == $suite or endswith(":" + $suite))) | .depends[]] as $needed
            | .targets[] | select(.id | IN($needed[])) | .filename[] | ltrimstr($directory)'
}
compile_sanitized() {
    local targets
    configure_sanitized "$1" "$2" || return
    mapfile -t targets < <(targets_of "$2" "$3")
    ninja -C "$2" "${targets[@]}"
}

# In a session of its own, whose processes end with it. What does not compile is said by the phase that needs it.
# shellcheck disable=SC2016  # expanded there
begin_compiling() {
    export -f compile_sanitized configure_sanitized targets_of
    # A session is a group of its own to the scheduler, where it groups them (sched_autogroup_enabled), and idle only within it.
    root=$root setsid chrt --idle 0 bash -c '
        { echo 19 >"/proc/$$/autogroup"; } 2>/dev/null || true
        compile_sanitized address,undefined "$root/build-asan" unit
        compile_sanitized thread "$root/build-tsan" threads' >"$results/compiling" 2>&1 </dev/null &
    compiler=$!
}
is_gone() { ! pgrep -s "$1" >/dev/null; }
end_compiling() {
    [ -n "$compiler" ] || return 0
    if [[ " $(jobs -rp | tr '\n' ' ') " == *" $compiler "* ]]; then kill -- "-$compiler" 2>/dev/null || true; fi
    wait "$compiler" 2>/dev/null || true
    # Ninja ends its compilers by itself, and removes what they have not finished: before the next looks at it.
    wait_until 30 is_gone "$compiler" || true
    compiler=''
}

# run_sanitized NAME SANITIZERS DIRECTORY SUITE : the tests of that suite.
run_sanitized() {
    if ! configure_sanitized "$2" "$3"; then
        failed_step "$1" "does not configure"
        return
    fi
    ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
        run_meson "$1" "$3" --suite "$4" --timeout-multiplier 5
}

# bounded SECONDS COMMAND... : in this terminal's foreground, so that Ctrl-C ends it too. What a killed one leaves running
# belongs to a lab, whose guard ends it.
bounded() { timeout --foreground --kill-after 30 "$@"; }

# run_tap NAME SECONDS COMMAND... : a script that prints TAP, shown as it runs; it has so many seconds.
run_tap() {
    local name=$1 limit=$2 code=0
    shift 2
    bounded "$limit" "$@" 2>&1 | tee --ignore-interrupts "$results/$name.tap" || code=${PIPESTATUS[0]}
    echo "$code" >"$results/$name.exit"
}

step "installing and building"
purposes=(build run test)
if wants package; then purposes+=(package); fi      # what is compiled now is packaged then, man pages included
if ! install_packages "${purposes[@]}"; then
    failed_step packages "cannot be installed"
    phases=()
elif ! "$root/scripts/build.sh"; then
    failed_step build "does not build"
    phases=()
fi

if wants meson; then
    step "unit, packet and fuzz tests"
    # One more at once than there are CPUs: they wait for half of their time.
    run_meson tests "$root/build" --num-processes $(($(nproc) + 1))
fi
if wants lab; then
    for test in "$root"/tests/lab/*_test.sh; do
        name=$(basename "$test" _test.sh)
        # The first in order holds a rate for a minute, and has the machine to itself.
        if [ "$name" != af_xdp_rate ] && [ -z "$compiler" ] && wants sanitizers; then begin_compiling; fi
        step "lab: $name"
        run_tap "lab-$name" 300 "$test"
    done
    end_compiling
fi
if wants sanitizers; then
    step "unit tests under the address and undefined-behaviour sanitizers"
    run_sanitized asan address,undefined "$root/build-asan" unit
    step "unit tests of what has threads under the thread sanitizer"
    run_sanitized tsan thread "$root/build-tsan" threads
fi
if wants package; then
    step "package: built, and installed in a fresh Debian"
    if "$root/scripts/package.sh" --no-install --from "$root/build"; then
        run_tap package 900 "$root/tests/package/package_test.sh"
    else
        failed_step package "does not build, or lintian complains"
    fi
fi
if wants vm; then
    step "vm: NICs in a guest of Debian's 6.1 kernel"
    if install_packages vm; then
        run_tap vm 1200 "$root/tests/vm/run.sh" --no-install
    else
        failed_step vm "its packages cannot be installed"
    fi
fi
if wants demo; then
    step "demo"
    if [ "$(id -u)" -ne 0 ]; then
        echo "ok - demo # SKIP needs root: it makes network namespaces" | tee "$results/demo.tap"
        echo 0 >"$results/demo.exit"
    elif bounded 600 "$root/scripts/demo.sh" --no-build; then
        echo "ok - demo passes" >"$results/demo.tap"
        echo 0 >"$results/demo.exit"
    else
        failed_step demo "did not pass"
    fi
fi

step "done"
/usr/bin/python3 "$root/scripts/count_tests.py" "$results"
