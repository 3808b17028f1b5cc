// SPDX-License-Identifier: Apache-2.0
/// What a command prints, while it runs.
#pragma once

#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include <spdlog/spdlog.h>

namespace fairlead::node {

/// Lines of what a command prints: the first hundred go to the log, the last is kept.
class Printed {
  public:
    explicit Printed(const std::string &program) : program_(program) {}
    /// Takes what is there, a pipe full at most; false: no more will come.
    bool take(int pipe) {
        std::array<char, 4096> bytes{};
        for (int reads = 0; reads < kReadsMax; ++reads) {
            const ssize_t size = ::read(pipe, bytes.data(), bytes.size());
            if (size < 0) return errno == EAGAIN || errno == EINTR;
            if (size == 0) return false;
            for (const char c : std::string_view(bytes.data(), static_cast<std::size_t>(size))) take_character(c);
        }
        return true;
    }
    [[nodiscard]] std::string last() {
        end_line();
        return last_;
    }

  private:
    static constexpr std::size_t kLineSizeMax = 300;
    static constexpr std::size_t kLinesLoggedMax = 100;
    static constexpr int kReadsMax = 16; ///< between two looks at the clock: one may print as fast as it is read

    void take_character(char c) {
        if (c == '\n' || c == '\r') return end_line();
        const auto byte = static_cast<unsigned char>(c);
        if (line_.size() < kLineSizeMax) line_ += byte < 0x20 || byte >= 0x7f ? '?' : c;
    }
    void end_line() {
        if (line_.find_first_not_of(" ?") != std::string::npos) {
            if (++lines_ <= kLinesLoggedMax) spdlog::info("{}: {}", program_, line_);
            last_ = line_;
        }
        line_.clear();
    }

    const std::string &program_;
    std::size_t lines_ = 0;
    std::string line_;
    std::string last_;
};

} // namespace fairlead::node
