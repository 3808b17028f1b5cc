// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node/quiet_watch.hpp"

namespace fairlead::node {

void QuietWatch::look(Clock::time_point now, std::uint64_t packets) {
    if (!looks_.empty() && packets < looks_.back().packets) forget();
    looks_.push_back({now, packets});
    while (looks_.size() >= 2 && looks_[1].at <= now - quiet_for_) looks_.pop_front();
}

bool QuietWatch::is_quiet() const {
    if (looks_.empty() || looks_.back().at - looks_.front().at < quiet_for_) return false;
    return packets() <= kQuietPacketsPerSecond * static_cast<std::uint64_t>(quiet_for_.count());
}

double QuietWatch::packets_per_second() const {
    constexpr std::chrono::milliseconds kSpan{900};
    for (auto look = looks_.rbegin(); look != looks_.rend(); ++look) {
        const std::chrono::duration<double> span = looks_.back().at - look->at;
        if (span >= kSpan || (span.count() > 0 && std::next(look) == looks_.rend()))
            return static_cast<double>(looks_.back().packets - look->packets) / span.count();
    }
    return 0;
}

std::uint64_t QuietWatch::packets() const { return looks_.empty() ? 0 : looks_.back().packets - looks_.front().packets; }

} // namespace fairlead::node
