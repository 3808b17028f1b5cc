// SPDX-License-Identifier: Apache-2.0
/// A network interface of this namespace, as far as an AF_XDP port needs to know it.
#pragma once

#include "dataplane/io/result.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace fairlead::io {

struct Interface {
    unsigned mtu = 0;
    unsigned queue_count = 1; ///< combined channels; a device without channels has one queue
    bool is_up = false;
    std::array<std::uint8_t, 6> mac{};

    [[nodiscard]] static Result<Interface> look_up(const std::string &name);
};

/// Which capabilities that AF_XDP needs this process lacks, in words; empty: none.
[[nodiscard]] std::string missing_capabilities();

} // namespace fairlead::io
