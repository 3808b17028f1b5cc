#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2016,SC2317  # the script is for another shell; functions that check calls
# Two balancers are upgraded one after the other, as docs/bare-metal.md says: drained, stopped, started from another directory,
# announced. A thousand connections that are busy, and new ones all the time: none breaks, none fails. Before that, what must
# not take a node out, or stop it: no command, one that fails, traffic that stays, a caller that leaves.
# shellcheck source=case.sh
source "$(dirname "${BASH_SOURCE[0]}")/case.sh"

readonly kConnections=1200
readonly kNewRate=50

# Two installations. What each program of them ended with is in ENDS/HOST.PROGRAM, a line each time.
installations=$(mktemp -d)
ends=$installations/ends
# shellcheck disable=SC2034  # case.sh's and lab.sh's
built=$programs programs=$installations/current

install_into() {               # install_into NAME
    local program
    mkdir -p "$installations/$1" "$ends"
    for program in "$built"/*; do ln -s "$(readlink -f "$program")" "$installations/$1/$(basename "$program")"; done
    for program in fairlead-dataplane fairleadd; do
        rm "$installations/$1/$program"
        cat >"$installations/$1/$program" <<END
#!/bin/bash
case \$* in *"/lb1/run"*) host=lb1 ;; *) host=lb2 ;; esac
"$(readlink -f "$built/$program")" "\$@"
echo "$1 \$?" >>"$ends/\$host.$program"
END
        chmod +x "$installations/$1/$program"
    done
}
install_into old
install_into new
use_installation() { ln -sfn "$1" "$installations/current"; }
use_installation old

# shellcheck disable=SC2317  # called by lab_end
last_word() {
    rm -rf "$installations"
    if [ "$is_done" != yes ]; then
        echo "not ok - $test_name ended early (exit code $1)"
        return 1
    fi
    return $((failed_checks > 0 ? 1 : 0))
}

# One route with two next hops: half of all flows change the balancer whenever one leaves, and change back when it returns.
lab_begin --balancers 2 --backends 3 --ecmp plain
for balancer in lb1 lb2; do serve_web 3; done
balancer=lb1

next_hops() { jq -r '.next_hops | join(" ")' "$(lab directory router)/liveness.json"; }
routed_to() { [ "$(next_hops)" = "$1" ]; }
readonly kBoth="10.20.0.11 10.20.0.12"
received() { stats '[.services[].packets] | add'; }
# rate : packets that its services receive, a second, over one.
rate() {
    local before
    before=$(received)
    sleep 1
    echo $(($(received) - before))
}
state() { status_of .node.state; }
forwards() { compare "$(rate)" '>' 100; }

# use_commands WITHDRAW ANNOUNCE : restarts lb1's fairleadd with these; without arguments, with none.
use_commands() {
    : >"$(lab directory lb1)/fairleadd.options"
    [ $# -eq 0 ] || printf '%s\n' --on-withdraw "$1" --on-announce "$2" >"$(lab directory lb1)/fairleadd.options"
    lab kill lb1 fairleadd TERM
    lab start lb1 fairleadd
    wait_until 10 agree
}

# refused TEXT COMMAND... : exit code 1, and one line on stderr that has TEXT.
refused() {
    local text=$1 code=0 said
    shift
    said=$("$@" 2>&1 >/dev/null) || code=$?
    note "$said"
    same "$code" 1 && same "$(wc -l <<<"$said")" 1 && grep -q -- "$text" <<<"$said"
}

fails_with() {                 # fails_with CODE COMMAND...
    local wanted=$1 code=0
    shift
    "$@" >/dev/null 2>&1 || code=$?
    same "$code" "$wanted"
}

load_begin client1 "$kVip" --interval 0.2 --timeout 30
load_ask 60 "open $kConnections 1000"
check "all connections open" same "$(field .held.opened)" "$kConnections"
load_ask 60 "trickle $kNewRate"
check "both balancers are next hops" routed_to "$kBoth"
for balancer in lb1 lb2; do check "$balancer takes part" forwards; done
balancer=lb1

script=$installations/route
printf '#!/bin/bash\necho "$@ $FAIRLEAD_ACTION $FAIRLEAD_VIPS"; echo "no protocol fairlead" >&2; exit 3\n' >"$script"
chmod +x "$script"
as_before() { same "$(state)" "$1" && routed_to "$kBoth" && agree && forwards; }

# They begin nothing, so it does not matter where.
refuses_options() { fails_with "$1" "$built/fairleadd" --config "$installations/none" --runtime-dir "$installations/run" "${@:2}"; }
check "fairleadd refuses one command without the other" refuses_options 64 --on-withdraw /bin/true
check "and one without a path" refuses_options 64 --on-withdraw 'birdc disable fairlead' --on-announce /bin/true
check "and one that is not there" refuses_options 78 --on-withdraw "$installations/none" --on-announce /bin/true
check "and leaves nothing" [ ! -e "$installations/run" ]

use_commands
check "without a command a drain says what to do" refused 'start fairleadd with --on-withdraw' fairlead node drain
check "and changes nothing" as_before ''
use_commands "$script" "$script"
check "a command that fails is told of" refused 'exit status 3: no protocol fairlead' fairlead node drain
check "and the node is announced and forwards" as_before announced
use_commands /usr/bin/true /usr/bin/true
check "a drain ends at its deadline while traffic stays" refused 'packets a second still come after 3 s' \
    fairlead node drain --quiet-for 2s --deadline 3s
check "and the node forwards, withdrawn" as_before withdrawn
lab kill lb1 fairleadd KILL
lab start lb1 fairleadd
wait_until 10 agree
check "which outlives fairleadd" as_before withdrawn
interrupted_drain() {
    local pid
    fairlead node drain --deadline 30s >/dev/null 2>"$installations/said" &
    pid=$!
    wait_until 5 is_draining
    kill -INT -- "-$pid"      # its group, as a terminal does
    ! wait "$pid" && grep -q 'interrupted: .*withdrawn and runs' "$installations/said"
}
is_draining() { [ "$(state)" = draining ]; }
is_withdrawn() { [ "$(state)" = withdrawn ]; }
check "what stops nothing does not stop at the deadline" fails_with 2 fairlead node drain --keep-running --at-deadline stop
# Job control: a group of its own, which does not ignore SIGINT.
set -m
check "a caller that leaves is told that the node stays" interrupted_drain
set +m
check "and the drain ends with it" wait_until 5 is_withdrawn
check "with nothing stopped" as_before withdrawn
check "announced again" quietly fairlead node announce
check "it says so" as_before announced
no_route=$(lab directory lb1)/run/no-route
use_commands "/usr/bin/touch $no_route" "/usr/bin/rm -f $no_route"

# upgrade HOST OTHERS_ADDRESS
upgrade() {
    local other=$2 said before drain
    balancer=$1
    check "$1 carries traffic" forwards
    rm -f "$ends/$1".*        # what it ended with before is not what is asked for
    fairlead node drain --quiet-for 4s >"$installations/said" 2>&1 &
    drain=$!
    check "$1 is taken out of routing" wait_until 5 routed_to "$other"
    sleep 1
    before=$(received)
    sleep 1
    check "its traffic is gone while it still runs" same "$(received)" "$before"
    check "it was received before" compare "$before" '>' 1000
    check "the drain ends well" wait "$drain"
    said=$(cat "$installations/said")
    note "${said//$'\n'/$'\n'# }"
    check "it saw no traffic" grep -q '^drained: 0.0 packets a second' <<<"$said"
    check "its dataplane has ended with 0" wait_until 10 ended_well "$1" fairlead-dataplane
    check "its fairleadd has ended with 0" wait_until 10 ended_well "$1" fairleadd
    check "and nobody answers" fails_with 3 fairlead status
    load_ask 20 "hold 2"

    use_installation new
    lab start "$1" fairlead-dataplane
    lab start "$1" fairleadd
    check "the new version runs what the old one ran" wait_until 15 agree
    check "with the old one's connections" compare "$(stats '[.workers[].connections_adopted] | add')" '>' "$((kConnections / 4))"
    check "and does not announce itself" same "$(state)" withdrawn
    check "so no traffic comes" same "$(rate)" 0
    check "$1 is announced" quietly fairlead node announce
    check "and is a next hop again" wait_until 5 routed_to "$kBoth"
    sleep 1
    check "that forwards" forwards
}
ended_well() { [ "$(tail -1 "$ends/$1.$2" 2>/dev/null)" = "old 0" ]; }

upgrade lb1 10.20.0.12
use_installation old
upgrade lb2 10.20.0.11

load_ask 60 "trickle end"
note "new: $(jq -c .short <<<"$load_answer")"
check "new connections came all the time" compare "$(field .short.attempted)" '>' 500
check "none of them failed" same "$(field .short.failed)" 0
load_ask 10 "hold 2"
load_ask 10 report
note "longest gap of a held connection: $(field .held.recent_gap_ms) ms"
load_ask 10 stop
check "all are still open" same "$(field .held.open)" "$kConnections"
held_unharmed
finish
