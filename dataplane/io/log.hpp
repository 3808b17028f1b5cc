// SPDX-License-Identifier: Apache-2.0
/// The log, on stderr, a line an event; what DPDK, libbpf and libxdp say goes through it as well.
///
/// While the program starts, the libraries' complaints are only remembered: if starting fails, the program
/// ends with one line of its own that quotes the first of the failed step. Once it runs, they are warnings.
/// The packet path logs nothing.
#pragma once

#include <string>

namespace fairlead::io {

/// @param level spdlog's name of it: trace, debug, info, warning, error, off.
/// @param program that each line names.
void start_log(const std::string &level, const std::string &program);

/// From here on what the libraries complain about is logged at once.
void end_log_startup();

/// What the libraries complained about first since forget_library_complaint(), while the program started; empty: nothing.
[[nodiscard]] std::string library_complaint();
void forget_library_complaint();

/// Takes stdout and stderr away from code that prints what its caller reports anyway, but at levels debug and trace.
class Silence {
  public:
    Silence();
    ~Silence();
    Silence(const Silence &) = delete;
    Silence &operator=(const Silence &) = delete;

  private:
    int stdout_ = -1;
    int stderr_ = -1;
};

} // namespace fairlead::io
