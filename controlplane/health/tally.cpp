// SPDX-License-Identifier: Apache-2.0
#include "controlplane/health/tally.hpp"

namespace fairlead::health {

void Tally::add(const BackendKey &key, Verdict verdict) {
    const std::lock_guard lock(mutex_);
    ++counts_[key].probes[static_cast<std::size_t>(verdict)];
}

void Tally::add(const BackendKey &key, Grade to) {
    const std::lock_guard lock(mutex_);
    ++counts_[key].transitions[static_cast<std::size_t>(to)];
}

void Tally::keep(const std::set<BackendKey> &keys) {
    const std::lock_guard lock(mutex_);
    std::erase_if(counts_, [&keys](const auto &entry) { return !keys.contains(entry.first); });
}

std::map<BackendKey, Counts> Tally::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

} // namespace fairlead::health
