// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include "controlplane/node/command.hpp"

namespace fairlead::node {

namespace {

/// Nothing: a quote, or a last backslash, is left open.
std::optional<std::vector<std::string>> split(std::string_view text) {
    std::vector<std::string> words;
    bool is_in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote == 0 && (c == ' ' || c == '\t' || c == '\n')) {
            is_in_word = false;
            continue;
        }
        if (!std::exchange(is_in_word, true)) words.emplace_back();
        if (c == '\\' && quote != '\'') {
            if (++i == text.size()) return std::nullopt;
            words.back() += text[i];
        } else if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == quote) {
            quote = 0;
        } else {
            words.back() += c;
        }
    }
    if (quote != 0) return std::nullopt;
    return words;
}

} // namespace

std::expected<Command, Error> Command::parse(std::string_view text) {
    auto words = split(text);
    if (!words) return std::unexpected(error_of(fmt::format("a quote or backslash in '{}' has no end", text), "close it"));
    if (words->empty() || words->front().empty())
        return std::unexpected(error_of("an empty command", "give a program and its arguments"));
    if (!words->front().starts_with('/'))
        return std::unexpected(error_of(fmt::format("'{}' is no absolute path", words->front()),
                                        "give the program with its path; no shell runs it, for one give /bin/sh -c '...'"));
    return Command{std::string(text), std::move(*words)};
}

std::expected<void, Error> Command::check() const {
    const std::string &program = words.front();
    struct stat status {};
    int failure = 0;
    if (::stat(program.c_str(), &status) != 0) failure = errno;
    else if (!S_ISREG(status.st_mode)) failure = EACCES;
    else if (::faccessat(AT_FDCWD, program.c_str(), X_OK, AT_EACCESS) != 0) failure = errno;
    if (failure == 0) return {};
    return std::unexpected(error_of(fmt::format("{}: cannot be run: {}", program, std::generic_category().message(failure)),
                                    "give a program that this user may run"));
}

} // namespace fairlead::node
