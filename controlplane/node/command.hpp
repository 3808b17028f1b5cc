// SPDX-License-Identifier: Apache-2.0
/// The commands that take this node out of routing and put it back: what the site uses (BIRD, keepalived, a script).
///
/// A command is given to fairleadd by whoever starts it, never by the API. It is run without a shell, as keepalived and
/// ExaBGP run theirs: words with quotes, the first an absolute path. It gets fairleadd's user, capabilities and environment,
/// without what systemd means for fairleadd alone, and what is said to it in FAIRLEAD_* variables.
#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/error.hpp"

namespace fairlead::node {

struct Command {
    std::string text;               ///< as it was given
    std::vector<std::string> words; ///< the program's path first

    /// Words are parted by blanks; '...' and "..." keep them, \ keeps the next character but within '...'.
    /// Errors: no word, a quote without its end, a program that is no absolute path.
    [[nodiscard]] static std::expected<Command, Error> parse(std::string_view text);

    /// An error if its program is not there or may not be run by this process.
    [[nodiscard]] std::expected<void, Error> check() const;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

/// Why a command has not done what it is for.
struct CommandFailure {
    Error error;
    bool was_cut_short = false; ///< by a signal, ours or another's: nobody knows what it has done

    CommandFailure(Error what, bool is_cut_short = false) : error(std::move(what)), was_cut_short(is_cut_short) {}
};

/// Runs it to its end. What it prints, on either stream, goes to the log; its last line is part of the error, or the
/// result ("" if it prints nothing).
/// Whatever it started is ended with it at the timeout, or once `is_ending` is set: by SIGTERM, a second later by SIGKILL.
/// Errors: it cannot be started, exit status not 0, a signal, the timeout, an end that cannot be known since SIGCHLD is ignored.
[[nodiscard]] std::expected<std::string, CommandFailure> run(const Command &command, const Environment &environment,
                                                             std::chrono::milliseconds timeout, const std::atomic<bool> &is_ending);

} // namespace fairlead::node
