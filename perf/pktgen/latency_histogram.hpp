// SPDX-License-Identifier: Apache-2.0
/// Counts of latencies in buckets whose width grows with the value (log-linear, as HdrHistogram has them): any
/// percentile is right within 1.6 % whatever the range, and a packet costs one increment.
#pragma once

#include "dataplane/wire/wire.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace fairlead::pktgen {

class LatencyHistogram {
  public:
    void add(wire::u64 value) noexcept {
        ++buckets_[bucket_of(value)];
        ++count_;
        min_ = std::min(min_, value);
        max_ = std::max(max_, value);
    }

    void clear() noexcept { *this = {}; }

    [[nodiscard]] wire::u64 count() const noexcept { return count_; }
    [[nodiscard]] wire::u64 min() const noexcept { return count_ != 0 ? min_ : 0; }
    [[nodiscard]] wire::u64 max() const noexcept { return max_; }

    /// The smallest value that `percent` of all are at most (nearest rank), or up to 1.6 % more; 0: there are none.
    [[nodiscard]] wire::u64 percentile(double percent) const noexcept {
        const auto rank = std::max<wire::u64>(1, static_cast<wire::u64>(std::ceil(percent / 100 * static_cast<double>(count_))));
        wire::u64 below = 0;
        for (unsigned bucket = 0; bucket < buckets_.size(); ++bucket)
            if ((below += buckets_[bucket]) >= rank) return std::clamp(last_of(bucket), min(), max());
        return max();
    }

  private:
    // Values below 2^kBits have buckets of their own; each further power of two is cut into 2^kBits equal ones.
    static constexpr unsigned kBits = 6;
    static constexpr unsigned kBucketCount = (64 - kBits + 1) << kBits;

    static constexpr unsigned bucket_of(wire::u64 value) noexcept {
        if (value < 1U << kBits) return static_cast<unsigned>(value);
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
        return (shift << kBits) + static_cast<unsigned>(value >> shift);
    }

    /// The largest value of a bucket.
    static constexpr wire::u64 last_of(unsigned bucket) noexcept {
        if (bucket < 2U << kBits) return bucket;
        const unsigned shift = (bucket >> kBits) - 1;
        const wire::u64 first = wire::u64{(bucket & ((1U << kBits) - 1)) | 1U << kBits} << shift;
        return first + ((wire::u64{1} << shift) - 1);
    }

    std::array<wire::u64, kBucketCount> buckets_{};
    wire::u64 count_ = 0;
    wire::u64 min_ = ~wire::u64{0};
    wire::u64 max_ = 0;
};

} // namespace fairlead::pktgen
