// SPDX-License-Identifier: Apache-2.0
/// Which CPUs the workers and the main thread run on.
#pragma once

#include "dataplane/io/result.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::io {

/// A list of CPUs, "2,4-6", ascending and distinct. The error names the bad part.
[[nodiscard]] Result<std::vector<unsigned>> parse_cpu_list(std::string_view text);

[[nodiscard]] std::string format_cpu_list(std::span<const unsigned> cpus);

/// The CPUs that this process may run on, ascending.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

struct Placement {
    std::vector<std::vector<unsigned>> worker_cpus; ///< one for each worker
    std::vector<unsigned> main_cpus;

    /// EAL's --lcores: the main thread is lcore 0, worker i is lcore i + 1.
    [[nodiscard]] std::string lcores() const;
};

/// @param allowed the CPUs of this process.
/// @param requested the operator's list; empty: none.
/// @param worker_count 0: as many as CPUs were requested, or one.
/// @param pin each worker on a CPU of its own where there are enough; otherwise they share all of them, as
///        suits workers that sleep when idle. A requested list as long as worker_count always pins.
/// @param near where workers go that no CPU was requested for, of `allowed`; empty: anywhere.
/// The main thread gets what the workers leave; where they leave nothing, it shares.
[[nodiscard]] Result<Placement> place(std::span<const unsigned> allowed, std::span<const unsigned> requested,
                                      unsigned worker_count, bool pin, std::span<const unsigned> near = {});

} // namespace fairlead::io
