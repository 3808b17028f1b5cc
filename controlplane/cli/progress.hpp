// SPDX-License-Identifier: Apache-2.0
/// A line on a terminal that the next one replaces; elsewhere nothing. What is in the way of whoever waits, on both.
#pragma once

#include <cstdio>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace fairlead::cli {

class Progress {
  public:
    ~Progress() { clear(); }
    void show(const std::string &text) {
        if (!is_terminal_) return;
        fmt::print(stderr, "\r\x1b[K{}", text);
        is_shown_ = true;
    }
    /// Says it once, and again when it was another one meanwhile. Empty: there is none.
    void trouble(const std::string &text) {
        if (std::exchange(trouble_, text) == text || text.empty()) return;
        clear();
        fmt::print(stderr, "fairlead: {}; waiting on\n", text);
    }
    void clear() {
        if (std::exchange(is_shown_, false)) fmt::print(stderr, "\r\x1b[K");
    }

  private:
    bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
    bool is_shown_ = false;
    std::string trouble_;
};

} // namespace fairlead::cli
