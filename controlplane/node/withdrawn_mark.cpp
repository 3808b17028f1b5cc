// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node/withdrawn_mark.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace fairlead::node {

namespace {

Error about(const std::string &path, const std::string &what, int failure) {
    return {.what = what + ": " + std::generic_category().message(failure), .file = path, .line = 0, .field = {},
            .mend = "the runtime directory must be writable"};
}

} // namespace

std::optional<std::uint64_t> WithdrawnMark::read() const {
    std::ifstream file(path_);
    if (!file) return std::nullopt;
    std::uint64_t since = 0;
    if (!(file >> since)) return 0;
    return since;
}

std::expected<void, Error> WithdrawnMark::set(std::uint64_t since_unix_s) const {
    // Whole or not at all: that the file is there says that the node is withdrawn.
    const std::string written = path_ + ".new";
    std::ofstream file(written);
    file << since_unix_s << '\n';
    file.flush();
    if (file && ::rename(written.c_str(), path_.c_str()) == 0) return {};
    const int failure = errno;
    ::unlink(written.c_str());
    return std::unexpected(about(path_, "cannot note that the node is withdrawn", failure));
}

std::expected<void, Error> WithdrawnMark::clear() const {
    if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return {};
    return std::unexpected(about(path_, "cannot remove the note that the node is withdrawn", errno));
}

} // namespace fairlead::node
