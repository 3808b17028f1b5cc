// SPDX-License-Identifier: Apache-2.0
/// Counts of probes and transitions, written by the engine, read by the metrics; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

#include "controlplane/health/target.hpp"

namespace fairlead::health {

struct Counts {
    std::array<std::uint64_t, kVerdictCount> probes{};    ///< by Verdict
    std::array<std::uint64_t, kGradeCount> transitions{}; ///< by the Grade they led to
};

class Tally {
  public:
    void add(const BackendKey &key, Verdict verdict);
    void add(const BackendKey &key, Grade to);
    /// Forgets all others.
    void keep(const std::set<BackendKey> &keys);

    [[nodiscard]] std::map<BackendKey, Counts> counts() const;

  private:
    mutable std::mutex mutex_;
    std::map<BackendKey, Counts> counts_;
};

} // namespace fairlead::health
