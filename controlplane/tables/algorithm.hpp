// SPDX-License-Identifier: Apache-2.0
//
// The names of the row-table algorithms, as configuration and API spell them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fairlead::tables {

enum class Algorithm : std::uint8_t {
    kRendezvous, ///< balanced rendezvous hashing: the fewest rows move when the set changes
    kMaglev,     ///< Maglev's population (NSDI 2016), weighted
};

/// "rendezvous", "maglev".
[[nodiscard]] std::string_view to_string(Algorithm algorithm) noexcept;

/// The inverse of to_string(); empty for any other text.
[[nodiscard]] std::optional<Algorithm> algorithm_from_string(std::string_view text) noexcept;

/// All names, comma-separated, for error messages.
inline constexpr std::string_view kAlgorithmNames = "rendezvous, maglev";

} // namespace fairlead::tables
