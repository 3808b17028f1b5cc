# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# How the Debian packages are compiled, for a build that is to be packaged as it is. Sourced by scripts/build.sh.

# packaged_options ROOT : meson's options, a line each: dpkg's flags as scripts/debian/rules wants them, and Debian's paths. Without -g,
# which changes no instruction and takes time: packages made of such a build have no debugging symbols beside them. -O3 is meson's to say,
# for tests are compiled with less.
packaged_options() (
    command -v dpkg-buildflags >/dev/null || { echo "build: --packaged needs dpkg-buildflags: scripts/packages.sh package" >&2; exit 1; }
    cd "$1"
    eval "$(sed -n 's/^export \(DEB_[A-Z_]*\) = \(.*\)$/export \1="\2"/p' scripts/debian/rules)"
    export DEB_CFLAGS_MAINT_STRIP+=" -g" DEB_CXXFLAGS_MAINT_STRIP+=" -g"
    unset DEB_CFLAGS_MAINT_APPEND DEB_CXXFLAGS_MAINT_APPEND
    preprocessor=$(dpkg-buildflags --get CPPFLAGS)
    linker=$(dpkg-buildflags --get LDFLAGS)
    printf '%s\n' -Doptimization=3 -Dprefix=/usr -Dsysconfdir=/etc -Dlocalstatedir=/var \
        "-Dc_args=$(dpkg-buildflags --get CFLAGS) $preprocessor" "-Dcpp_args=$(dpkg-buildflags --get CXXFLAGS) $preprocessor" \
        "-Dc_link_args=$linker" "-Dcpp_link_args=$linker"
)
