// SPDX-License-Identifier: Apache-2.0
// Takes a fuzzer's bytes apart, from the front; what is missing reads as zero.
#pragma once

#include "dataplane/wire/wire.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace fairlead::fuzz {

class ByteReader {
  public:
    ByteReader(const wire::u8 *data, std::size_t size) : rest_(data, size) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }

    template <class T> [[nodiscard]] T take() {
        T value{};
        const auto bytes = take_bytes(sizeof value);
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }

    /// As many as there are, at most `size`.
    [[nodiscard]] std::span<const wire::u8> take_bytes(std::size_t size) {
        const auto taken = rest_.first(std::min(size, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

  private:
    std::span<const wire::u8> rest_;
};

} // namespace fairlead::fuzz
