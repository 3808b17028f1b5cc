# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The words that scenarios are told in. Sourced by scripts/unbroken/perform.sh, which sets connections and second_chance.
#
# A scenario file (scripts/unbroken/scenarios/NN-NAME.sh) sets
#   title                      the line of the table
#   stage                      options of scripts/lab.sh up
#   loses_backend=no           yes: a backend goes away with its connections, which are excused, and some new ones may find
#                              it before it is known to be gone
#   loses_state=no             yes: flows lose their state while rows change, so that without second chance some must break
#   new_failures_max=0         new connections that may fail, in percent
# and defines scenario(), which calls serve, open_connections, and then does what it is about.

readonly kVip=198.51.100.10
readonly kNewRate=50             # new connections a second, all through a scenario
readonly kSilentShare=0.1
readonly kTimeout=30             # seconds; a connection that waits longer for an answer is broken
alive=(lb1)                      # the balancers that are not dead
problems=()
facts=()

# say TEXT : what was measured besides; it is shown below the scenario's line.
say() { facts+=("$*"); }

# must TEXT COMMAND... : the scenario fails if the command does.
must() {
    local text=$1
    shift
    "$@" || problems+=("$text")
}

# at_most WHAT NUMBER MAX, at_least WHAT NUMBER MIN : integers or not.
at_most() { jq -e -n "$2 <= $3" >/dev/null || problems+=("$1: $2, more than $3"); }
at_least() { jq -e -n "$2 >= $3" >/dev/null || problems+=("$1: $2, less than $3"); }

address() { echo "10.20.0.$((30 + ${1#be}))"; }

# on_balancers ARGUMENT... : the same command of `fairlead` on each balancer that lives.
on_balancers() {
    local balancer
    for balancer in "${alive[@]}"; do
        fairlead "$@" >/dev/null
    done
}

# configure FILTER : the configuration of each balancer that lives, through jq, applied in one step.
configure() {
    local balancer
    for balancer in "${alive[@]}"; do
        fairlead get -o json | jq "$1" | fairlead apply -f /dev/stdin >/dev/null
    done
}

# backends_json HOST... : as they stand in a configuration.
backends_json() {
    local host list=''
    for host in "$@"; do list+="${list:+, }{\"address\": \"$(address "$host")\"}"; done
    echo "[$list]"
}

be_range() { seq -f 'be%g' "$1" "$2"; }

# serve COUNT [JSON] : the service web over be1 to beCOUNT on each balancer; JSON says more about it.
serve() {
    local hosts more=${2:-'{}'} balancer
    mapfile -t hosts < <(be_range 1 "$1")
    # Connections that were closed count as a backend's until their timeout; drains here do not wait a minute for it.
    configure ".services = [{name: \"web\", vip: \"$kVip\", port: 80, protocol: \"tcp\", timeouts: {closing: \"1s\"},
        backends: $(backends_json "${hosts[@]}")} $([ "$second_chance" = on ] || echo '+ {second_chance: false}') + $more]"
    for balancer in "${alive[@]}"; do wait_until 10 agree; done
    wait_until 10 vip_answers "$kVip"
}

agree() { [ "$(fairlead status -o json | jq '.dataplane.is_connected and .generation == .dataplane.generation and .generation > 0')" = true ]; }

# open_connections : opens them, one in ten silent until the end, and lets new ones come and go from now on. What follows in
# the scenario is what it is about: gaps and placements count from here.
open_connections() {
    local interval balancer
    interval=$(jq -n "[1, $connections / 2500] | max")
    load_begin client1 "$kVip" --interval "$interval" --timeout "$kTimeout" --silent "$kSilentShare" --reconnect
    load_ask 120 "open $connections $kOpenRate"
    must "all connections open" [ "$(field .held.opened)" -eq "$connections" ]
    load_ask 60 "trickle ${new_rate:-$kNewRate}"
    load_ask 10 report
    for balancer in "${alive[@]}"; do count_placements "$balancer" before; done
    count_outcomes before
}

carry_on() { load_ask "$(($1 + 30))" "hold $1"; }

add() { on_balancers backend add web "$(address "$1")"; }
drain() { on_balancers backend drain web "$(address "$1")"; }
remove() { on_balancers backend remove web "$(address "$1")"; }

# drain_until_empty HOST : as operators do, while its clients go away over two seconds.
drain_until_empty() {
    local waiting
    drain "$1"       # before the first client goes: it comes back, and must not come here again
    fairlead backend drain web "$(address "$1")" --wait --deadline 60s >/dev/null &
    waiting=$!
    load_ask 90 "close $1 $((connections / 8 + 1))"
    must "$1 is empty before the deadline" wait "$waiting"
}

excuse() { load_ask 10 "excuse $1"; }

# clients_return SECONDS : waits until everyone who lost or closed a connection has another.
clients_return() {
    load_ask "$(($1 + 10))" "resume $1"
    must "all clients are served again within $1 s" [ "$(field .resumption.waiting)" -eq 0 ]
}

# grade_of HOST : what the first balancer that lives thinks of it: up, failing or dead, draining ...
grade_of() { balancer=${alive[0]} fairlead backend list web -o json | jq -r --arg address "$(address "$1")" '.[] | select(.address == $address) | .state'; }
is_graded() { [[ $(grade_of "$1") == "$2"* ]]; }
wait_for_grade() { must "$1 is seen to be $2" wait_until 30 is_graded "$1" "$2"; }

# takes_new HOST : whether the last report's short connections, or those of a run of 500, reached it.
takes_new() {
    load_ask 60 "trickle end"
    keep_new
    load_ask 60 "short 500 16"
    keep_new
    local answers
    answers=$(field ".short.backends[\"$1\"] // 0")
    load_ask 10 "trickle ${new_rate:-$kNewRate}"
    [ "$answers" -gt 0 ]
}

# kill_program HOST PROGRAM : kill -9. A dataplane's counters die with it, and are taken before.
kill_program() {
    [ "$2" != fairlead-dataplane ] || count_placements "$1" after
    lab kill "$1" "$2" KILL
}

# restart_dataplane HOST : after kill_program.
restart_dataplane() {
    lab start "$1" fairlead-dataplane
    balancer=$1 wait_until 20 agree
}

# begin_death HOST : kill -9 of all that runs on a balancer, while the scenario goes on; end_death waits until it is gone.
begin_death() {
    count_placements "$1" after
    read -ra alive <<<"${alive[*]/$1/}"
    lab kill "$1" all KILL &
    death=$!
}
end_death() { wait "$death"; }

next_hops() { jq -r '.next_hops | join(" ")' "$(lab directory router)/liveness.json"; }
routes_to() { [ "$(next_hops)" = "$1" ]; }

# replace_balancer HOST : a fresh machine takes its place, with the state of the one that goes.
replace_balancer() {
    local state said
    state=$(lab directory)/state.export
    balancer=$1 fairlead state export >"$state"
    count_placements "$1" after
    lab renew "$1"
    lab start "$1" fairleadd
    balancer=$1 wait_until 10 fairlead get
    said=$(balancer=$1 fairlead state import "$state" 2>&1) || { echo "$said" >&2; return 1; }
    restart_dataplane "$1"
    must "$1 is a next hop again" wait_until 10 routes_to "10.20.0.11 10.20.0.12"
}

# now_ms, since_ms START
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
since_ms() { echo $(($(now_ms) - $1)); }
