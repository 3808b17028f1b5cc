// SPDX-License-Identifier: Apache-2.0
/// What the machine did beside the measurement: a figure taken beside somebody else's work is not the path's.
#pragma once

#include <chrono>
#include <cstdint>

namespace fairlead::mpps {

/// CPU time of everybody but this process, since this was made: processes, interrupts, and what a hypervisor took.
///
/// The time of all CPUs less what they idled, which the kernel knows exactly; the columns of busy time in /proc/stat are what a
/// few hundred samples a second hit. In steps of 10 ms a CPU.
class ForeignWork {
  public:
    ForeignWork() : before_(now()) {}

    /// In percent of one CPU, so up to 100 for each.
    [[nodiscard]] double percent() const;

  private:
    struct Account {
        unsigned cpus;
        double idle_s, own_s;
        std::chrono::steady_clock::time_point at;
    };
    [[nodiscard]] static Account now();

    Account before_;
};

} // namespace fairlead::mpps
