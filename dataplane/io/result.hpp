// SPDX-License-Identifier: Apache-2.0
/// What the functions of this directory return: a value, or one line that says what is wrong.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <expected>
#include <filesystem>
#include <string>

namespace fairlead::io {

template <class T>
using Result = std::expected<T, std::string>;

/// "cannot VERB PATH: WHY". @param error of errno's.
[[nodiscard]] inline std::unexpected<std::string> cannot(const char *verb, const std::filesystem::path &path, int error) {
    return std::unexpected(fmt::format("cannot {} {}: {}", verb, path.string(), std::strerror(error)));
}

} // namespace fairlead::io
