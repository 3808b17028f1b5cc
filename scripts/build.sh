#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds Fairlead: installs the Debian packages that are missing, configures meson if need be, compiles, and links the
# programs into <build directory>/bin/. Quick when nothing changed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=flags.sh
source "$root/scripts/flags.sh"

usage() {
    cat <<'END'
usage: scripts/build.sh [--cpu LEVEL] [--debug | --sanitize address,undefined|thread] [--directory DIR]
                        [--jobs N] [--no-install] [--configure-only] [TARGET...]
  --cpu LEVEL       -march for everything: x86-64-v3 (default) or native
  --debug           unoptimised, into build-debug/
  --sanitize LIST   with sanitizers, into build-asan/ (address,undefined) or build-tsan/ (thread)
  --directory DIR   build there instead of build/
  --jobs N          compile N files at once (default: ninja's own)
  --no-install      never install packages
  --configure-only  compile nothing
  TARGET...         meson targets; without any, everything
END
}

cpu=x86-64-v3 directory='' debug=no sanitize='' install=yes compile=yes jobs=()
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --cpu) cpu=${2:?--cpu wants a level}; shift 2 ;;
        --debug) debug=yes; shift ;;
        --sanitize) sanitize=${2:?--sanitize wants a list}; shift 2 ;;
        --directory) directory=${2:?--directory wants a path}; shift 2 ;;
        --jobs) jobs=(-j "${2:?--jobs wants a number}"); shift 2 ;;
        --no-install) install=no; shift ;;
        --configure-only) compile=no; shift ;;
        -h | --help) usage; exit 0 ;;
        -*) echo "build: unknown option $1" >&2; usage >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done

[ "$install" = no ] || install_packages build     # what the options are asked of is one of them
options=("-Dcpu=$cpu")
case $sanitize in
    '') default=$root/build ;;
    address,undefined) default=$root/build-asan ;;
    thread) default=$root/build-tsan ;;
    *) echo "build: --sanitize takes address,undefined or thread, not '$sanitize'" >&2; exit 2 ;;
esac
if [ -n "$sanitize" ]; then
    # b_lundef: the sanitizers' symbols come with the program, not with its shared libraries.
    # -Og needs little more than half of the compiler's time that -O1 does, and all files of a target at once (unity) half of what each alone
    # does: so no name may be two things in one target's files. What it warns of beside the build proper is not asked for (deprecated: where unity loses the pragma).
    options+=("-Db_sanitize=$sanitize" -Db_lundef=false -Dunity=on -Dunity_size=1000 -Doptimization=g -Dwerror=false -Ddebug=false "-Dcpp_args=-g1 -Wno-deprecated-declarations")
elif [ "$debug" = yes ]; then
    default=$root/build-debug
    options+=(-Dbuildtype=debug)
else
    flags=$(release_options "$root")
    mapfile -t -O "${#options[@]}" options <<<"$flags"
fi
directory=${directory:-$default}

if [ ! -f "$directory/build.ninja" ]; then
    meson setup "${options[@]}" "$directory" "$root"
else
    # Only what differs: `meson configure` makes the next ninja run configure again, even if nothing changed.
    for option in "${options[@]}"; do
        name=${option#-D}
        current=$(meson introspect "$directory" --buildoptions |
            jq -r --arg name "${name%%=*}" '.[] | select(.name == $name) | .value | if type == "array" then join(" ") else . end')
        [ "$current" = "${name#*=}" ] || meson configure "$directory" "$option"
    done
fi
[ "$compile" = yes ] || exit 0
ninja -C "$directory" "${jobs[@]}" "${targets[@]}"

mkdir -p "$directory/bin"
for program in fairlead-dataplane fairleadd fairlead fairlead-backend fairlead-pktgen unbroken synflood udp_load udp_echo; do
    built=$(cd "$directory" && find . -mindepth 2 -maxdepth 4 -name "$program" -type f -perm -u+x -print -quit)
    if [ -n "$built" ]; then
        ln -sfn "../${built#./}" "$directory/bin/$program"
    fi
done
