// SPDX-License-Identifier: Apache-2.0
/// Maps of a loaded BPF program, by descriptor: sets of addresses, and counters of outcomes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bpf/address.hpp"

namespace fairlead::bpf {

/// Owns a file descriptor.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
    Descriptor(Descriptor &&other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Descriptor &operator=(Descriptor &&other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }
    ~Descriptor();
    [[nodiscard]] int get() const { return descriptor_; }

  private:
    int descriptor_ = -1;
};

/// A HASH map AddressKey -> u8, used as a set. Does not own the descriptor.
class AddressSet {
  public:
    explicit AddressSet(int map) : map_(map) {}

    /// Adding what is there and removing what is not are no errors.
    [[nodiscard]] Result<void> add(const wire::AddressKey &key) const;
    [[nodiscard]] Result<void> remove(const wire::AddressKey &key) const;
    /// Makes the set hold exactly these: adds first, then removes, so that what stays is never missing.
    [[nodiscard]] Result<void> assign(std::span<const wire::AddressKey> keys) const;
    /// In the order of the addresses.
    [[nodiscard]] Result<std::vector<wire::AddressKey>> list() const;

  private:
    int map_;
};

/// A PERCPU_ARRAY of u64: each of the first `count` counters, summed over the CPUs.
[[nodiscard]] Result<std::vector<std::uint64_t>> read_outcomes(int map, std::uint32_t count);

/// "CANNOT: strerror", and for missing privileges which ones are needed. `error` is a positive errno.
[[nodiscard]] std::string explain(std::string_view cannot, int error);

} // namespace fairlead::bpf
