# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How a release is compiled: as the Debian packages are, so that what is tested, measured and packaged is one. Sourced by scripts/build.sh.

# release_options ROOT : meson's options, a line each: dpkg's flags as scripts/debian/rules wants them, and Debian's paths. Without -g,
# which changes no instruction and takes time: packages made of such a build have no debugging symbols beside them. -O3 is meson's to say,
# for tests are compiled with less.
release_options() (
    command -v dpkg-buildflags >/dev/null || { echo "build: dpkg-buildflags is missing: scripts/packages.sh build" >&2; exit 1; }
    cd "$1" || exit 1
    eval "$(sed -n 's/^export \(DEB_[A-Z_]*\) = \(.*\)$/export \1="\2"/p' scripts/debian/rules)"
    export DEB_CFLAGS_MAINT_STRIP+=" -g" DEB_CXXFLAGS_MAINT_STRIP+=" -g"
    # The checkout's path among the flags, and no two checkouts would share a compiler cache; meson's own paths are relative.
    export DEB_BUILD_MAINT_OPTIONS+=" reproducible=-fixfilepath,-fixdebugpath"
    unset DEB_CFLAGS_MAINT_APPEND DEB_CXXFLAGS_MAINT_APPEND
    preprocessor=$(dpkg-buildflags --get CPPFLAGS)
    linker=$(dpkg-buildflags --get LDFLAGS)
    printf '%s\n' -Doptimization=3 -Dprefix=/usr -Dsysconfdir=/etc -Dlocalstatedir=/var \
        "-Dc_args=$(dpkg-buildflags --get CFLAGS) $preprocessor" "-Dcpp_args=$(dpkg-buildflags --get CXXFLAGS) $preprocessor" \
        "-Dc_link_args=$linker" "-Dcpp_link_args=$linker"
)
