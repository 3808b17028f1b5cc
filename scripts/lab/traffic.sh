# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A lab and load in it, for scripts that end both whatever happens: the lab is guarded by this process (--owner), and
# unbroken ends with the pipe it is told things through. Sourced by scripts/demo.sh and tests/lab/*.sh.
#
# The caller sets root (of the project), lab_name, and programs (the directory of the built programs).

# shellcheck source=../wait.sh
source "$root/scripts/wait.sh"

lab() {
    local command=$1
    shift
    "$root/scripts/lab.sh" "$command" --name "$lab_name" "$@"
}

# fairlead ARGUMENT... : the CLI on the first balancer.
fairlead() { lab run "${balancer:-lb1}" fairlead "$@"; }

# end_on_exit : whatever ends this script ends its load and its lab. A function last_word, if there is one, is then called
# with the exit code so far, and its own becomes the script's.
end_on_exit() {
    trap lab_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    trap 'exit 141' PIPE        # whoever was written to is gone
}

lab_end() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    trap : PIPE                 # here a write that fails is no end of the script; what is called dies of it as ever
    load_abandon
    if ! lab down >/dev/null; then
        echo "the lab '$lab_name' could not be ended" >&2
        status=1
    fi
    if declare -F last_word >/dev/null; then
        last_word "$status"
        status=$?
    fi
    exit "$status"
}

# lab_begin OPTION... : a lab that ends with this script, even if that is killed.
lab_begin() { lab up --owner "$$" --programs "$programs" "$@"; }

# load_begin CLIENT ADDRESS [OPTION]... : starts unbroken from all of the client's addresses.
load_begin() {
    local client=$1 source sources=()
    shift
    for source in $(lab run "$client" ip -json address show dev eth0 | jq -r '.[0].addr_info[] | select(.family == "inet") | .local'); do
        sources+=(--source "$source")
    done
    # Not through a function: a subshell between would hold the pipe open, and the load would never see its end.
    coproc LOAD { exec "$root/scripts/lab.sh" run --name "$lab_name" "$client" unbroken "${sources[@]}" "$@"; }
    # shellcheck disable=SC2153  # coproc sets it
    local pid=$LOAD_PID
    exec {load_input}>&"${LOAD[1]}" {load_output}<&"${LOAD[0]}"
    eval "exec ${LOAD[1]}>&- ${LOAD[0]}<&-"
    load_pid=$pid
}

# load_send COMMAND... : tells unbroken something; load_receive SECONDS : waits for the answer and puts it into
# load_answer. In this shell, not in a subshell: whatever it starts must not inherit the pipe.
load_send() { echo "$*" >&"$load_input"; }

load_receive() {
    if ! read -r -t "$1" -u "$load_output" load_answer; then
        echo "unbroken ended, or did not answer within $1 s" >&2
        return 1
    fi
    if [[ $load_answer == *'"error"'* ]]; then
        echo "unbroken: $load_answer" >&2
        return 1
    fi
}

load_ask() {
    local patience=$1
    shift
    load_send "$@"
    load_receive "$patience"
}

# load_abandon : ends unbroken, whatever it is doing. It has nothing to tidy up, and must not keep this script waiting.
load_abandon() {
    [ -n "${load_pid:-}" ] || return 0
    exec {load_input}>&- {load_output}<&-
    # Only while it is this shell's: a pid that has ended may be somebody else's by now.
    if [[ $'\n'$(jobs -pr)$'\n' == *$'\n'"$load_pid"$'\n'* ]]; then
        kill -KILL "$load_pid" 2>/dev/null || true
    fi
    wait "$load_pid" 2>/dev/null || true
    load_pid=''
}

# listen_begin HOST ADDRESS PORT [OPTION]... : a udp_echo that ends with listen_end, or with this script.
listener_inputs=()
listener_outputs=()
listen_begin() {
    local host=$1 input output
    shift
    { coproc ECHO { exec "$root/scripts/lab.sh" run --name "$lab_name" "$host" udp_echo "$@" --name "$host"; }; } 2>/dev/null
    exec {input}>&"${ECHO[1]}" {output}<&"${ECHO[0]}"
    eval "exec ${ECHO[1]}>&- ${ECHO[0]}<&-"
    listener_inputs+=("$input")
    listener_outputs+=("$output")
    wait_until 10 listens "$host" "$2"
}
listens() { [ -n "$(lab run "$1" ss -Hlun "sport = :$2")" ]; }

# listen_end : ends all of them and puts what they say, one JSON object a line, into listener_answers.
listen_end() {
    local number line
    listener_answers=''
    for number in "${!listener_inputs[@]}"; do
        eval "exec ${listener_inputs[number]}>&-"
        if read -r -t 5 -u "${listener_outputs[number]}" line; then
            listener_answers+=$line$'\n'
        fi
        eval "exec ${listener_outputs[number]}<&-"
    done
    listener_inputs=()
    listener_outputs=()
}

# field FILTER [JSON] : of the last answer, or of JSON.
field() { jq -r "$1" <<<"${2:-$load_answer}"; }

vip_answers() { lab run client1 curl -s -o /dev/null --fail --max-time 1 "http://$1/"; }
