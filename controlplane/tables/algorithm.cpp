// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/algorithm.hpp"

namespace fairlead::tables {

std::string_view to_string(Algorithm algorithm) noexcept {
    switch (algorithm) {
    case Algorithm::kRendezvous: return "rendezvous";
    case Algorithm::kMaglev: return "maglev";
    }
    return "unknown";
}

std::optional<Algorithm> algorithm_from_string(std::string_view text) noexcept {
    if (text == "rendezvous") return Algorithm::kRendezvous;
    if (text == "maglev") return Algorithm::kMaglev;
    return std::nullopt;
}

} // namespace fairlead::tables
