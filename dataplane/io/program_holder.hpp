// SPDX-License-Identifier: Apache-2.0
/// Which living processes hold a BPF program: an interface's program without one is what a killed process left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::io {

struct ProgramHolder {
    std::string process; ///< its number
    std::string name;    ///< as the kernel has it: 15 characters
};

/// The name of this process, as ProgramHolder has it.
[[nodiscard]] std::string own_process_name();

/// All processes but this one that have a descriptor of the program, as far as this PID namespace shows them.
[[nodiscard]] std::vector<ProgramHolder> program_holders(std::uint32_t program_id);

} // namespace fairlead::io
