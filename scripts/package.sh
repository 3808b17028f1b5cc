#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# Builds the Debian packages fairlead and fairlead-backend for this Debian, or for another release in a root of its own.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=packages.sh
source "$root/scripts/packages.sh"
# shellcheck source=debian/root.sh
source "$root/scripts/debian/root.sh"

usage() {
    cat <<'USAGE'
usage: scripts/package.sh [--release NAME | --from BUILD] [--directory DIR] [--no-install] [--no-lint]
  --release NAME   for another release of Debian, such as trixie: in a root made by debootstrap, as root; else for this one
  --from BUILD     of what scripts/build.sh has compiled in that directory, or compiles now; without debugging symbols
  --directory DIR  build there, packages in DIR/packages/ (build-package/, or build-package-NAME/ with --release)
  --no-install     never install packages that the build needs
  --no-lint        do not run lintian
Of what is committed or changed in the working tree. The maintainer is DEBFULLNAME <DEBEMAIL>, or the last commit's author.
USAGE
}

die() { echo "package: $*" >&2; exit 1; }

release='' from='' directory='' install=yes lint=yes
while [ $# -gt 0 ]; do
    case $1 in
        --release) release=${2:?--release wants a name}; shift 2 ;;
        --from) from=${2:?--from wants a directory}; shift 2 ;;
        --directory) directory=${2:?--directory wants a path}; shift 2 ;;
        --no-install) install=no; shift ;;
        --no-lint) lint=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "package: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
[ -z "$release" ] || [ -z "$from" ] || { echo "package: --from is for this release of Debian, not for $release" >&2; exit 2; }
directory=${directory:-$root/build-package${release:+-$release}}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
readonly tree=$directory/tree packages=$directory/packages

version=$(sed -n "s/^ *version: '\(.*\)',/\1/p" "$root/meson.build" | head -1)
[ -n "$version" ] || die "$root/meson.build names no version"

# The source as git knows it, committed or not; what an earlier build made in the tree stays, for the next is quicker then.
copy_source() {
    local maintainer
    mkdir -p "$tree"
    git -C "$root" ls-files --cached --others --exclude-standard --deduplicate -z |
        while IFS= read -r -d '' file; do [ ! -e "$root/$file" ] || printf '%s\0' "$file"; done >"$directory/files"
    (cd "$tree" && find . -mindepth 1 -maxdepth 1 ! -name obj-\* ! -name debian -exec rm -rf {} +)
    rm -rf "$tree/debian"
    tar -C "$root" --null -T "$directory/files" -cf - | tar -C "$tree" -xf -
    maintainer="${DEBFULLNAME:-$(git -C "$root" log -1 --format=%an)} <${DEBEMAIL:-$(git -C "$root" log -1 --format=%ae)}>"
    write_debian "$maintainer"
}

# write_debian MAINTAINER : the tree's debian/, of scripts/debian/ and scripts/systemd/.
write_debian() {
    local debian=$tree/debian build_depends package unit
    mkdir -p "$debian/source"
    cp "$tree"/scripts/debian/{control,rules,copyright,fairlead.*,fairlead-backend.*} "$debian/"
    rm -f "$debian/fairlead.yaml"
    # shellcheck disable=SC2086  # words
    build_depends=$(printf '%s\n' ${kPackages[build]} scdoc | sort -u | paste -sd, | sed 's/,/, /g')
    sed -i -e "s|@MAINTAINER@|$1|" -e "s|@BUILD_DEPENDS@|$build_depends|" "$debian/control"
    for package in fairlead fairlead-backend; do
        sed "s/@PACKAGE@/$package/" "$tree/scripts/debian/preinst" >"$debian/$package.preinst"
    done
    # As debhelper looks for them: debian/PACKAGE@.service, debian/PACKAGE.NAME.service, debian/PACKAGE.NAME.mount.
    for unit in "$tree"/scripts/systemd/*.{service,mount}; do
        case ${unit##*/} in
            fairlead-backend@.service) cp "$unit" "$debian/" ;;
            *) cp "$unit" "$debian/fairlead.${unit##*/}" ;;
        esac
    done
    if [ -d "$tree/docs" ]; then echo "docs/*" >>"$debian/fairlead.docs"; fi
    if [ -f "$tree/scripts/host.sh" ]; then
        echo "scripts/host.sh scripts/host usr/lib/fairlead" >>"$debian/fairlead.install"
        echo "usr/lib/fairlead/host.sh usr/sbin/fairlead-host" >"$debian/fairlead.links"
        echo "usr/share/man/man8/fairlead-host.8" >>"$debian/fairlead.install"
    fi
    echo '3.0 (native)' >"$debian/source/format"
    cat >"$debian/changelog" <<CHANGELOG
fairlead ($version) unstable; urgency=medium

  * Of commit $(git -C "$root" log -1 --format=%h); what changed is in changelog.gz.

 -- $1  $(git -C "$root" log -1 --format=%aD)
CHANGELOG
    chmod 755 "$debian/rules"
}

# in_tree COMMAND... : on this machine, or in the root of the release.
in_tree() {
    if [ -z "$release" ]; then
        (cd "$tree" && "$@")
    else
        root_run "$directory/root" --bind="$directory:/build" --chdir=/build/tree -- "$@"
    fi
}

prepare() {
    if [ -z "$release" ]; then
        [ "$install" = no ] || install_packages build package
        return
    fi
    [ "$(id -u)" -eq 0 ] || die "--release needs root: it makes a root of $release"
    [ "$install" = no ] || install_packages package
    # shellcheck disable=SC2086
    make_root "$directory/root" "$release" ${kPackages[build]} build-essential debhelper lintian scdoc
}

# What is installed, in BUILD; nothing where scripts/build.sh has just been.
compile() {
    local targets
    "$root/scripts/build.sh" --no-install --directory "$from" --configure-only
    from=$(cd "$from" && pwd)
    meson configure "$from" -Ddpdk=enabled -Dcontrolplane=enabled -Dbpf=enabled -Dman=enabled
    mapfile -t targets < <(meson introspect "$from" --targets | jq -r --arg directory "$from/" '.[] | select(.installed) | .filename[] | ltrimstr($directory)')
    ninja -C "$from" "${targets[@]}"
}

build() {
    rm -rf "$packages" "$directory"/fairlead*_"$version"_*
    mkdir -p "$packages"
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct)
    local build_options=${DEB_BUILD_OPTIONS:-}
    if [ -n "$from" ]; then
        compile
        build_options+=" noautodbgsym"     # it holds no symbols
    fi
    in_tree env SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" FAIRLEAD_BUILT="$from" DEB_BUILD_OPTIONS="$build_options" dpkg-buildpackage --build=binary --no-sign --no-pre-clean --jobs=2
    mv "$directory"/fairlead*_"$version"_* "$packages/"
}

# What lintian has to say, or nothing.
lint() {
    local changes=("$packages"/*.changes)
    in_tree lintian --fail-on error,warning --allow-root --tag-display-limit 0 "../packages/${changes[0]##*/}"
}

prepare
copy_source
build
[ "$lint" = no ] || lint
echo "package: $(cd "$packages" && printf '%s ' *.deb)in $packages"
