// SPDX-License-Identifier: Apache-2.0
/// The steering program (steer.bpf.c) seen from the dataplane: its object as a file for DPDK's AF_XDP
/// driver, which loads and attaches it; then its VIPs and counters, through the attached program.
///
/// A port's life: detach_stale_steer(), write_steer_object(), let DPDK attach, Steer::find(), then
/// add_vip() and remove_vip() at each generation. DPDK detaches it in an orderly end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "bpf/attached.hpp"
#include "bpf/maps.hpp"
#include "dataplane/wire/drop_reasons.h"

namespace fairlead::bpf {

/// The object's ELF bytes. They live as long as the process.
[[nodiscard]] std::span<const std::byte> steer_object();

/// Writes the object to a file, replacing one that is there. Readers see the old file or the whole new one.
[[nodiscard]] Result<void> write_steer_object(const std::filesystem::path &path);

/// Takes our steering program off the interface if no living process receives from it: a dataplane that
/// was killed leaves it behind. True: there was one; false: no XDP program is attached. A program that is
/// in use or not ours stays, and is an error.
[[nodiscard]] Result<bool> detach_stale_steer(unsigned interface_index);

using SteerCounts = std::array<std::uint64_t, wire::kSteerOutcomeCount>;

/// The steering program attached to one interface. Not for use by several threads at once.
class Steer {
  public:
    /// An error where nothing, or a foreign program, is attached.
    [[nodiscard]] static Result<Steer> find(unsigned interface_index);

    [[nodiscard]] std::uint32_t program_id() const { return program_.id(); }
    [[nodiscard]] XdpMode mode() const { return program_.mode(); }

    [[nodiscard]] Result<void> add_vip(const wire::AddressKey &vip) const { return vips().add(vip); }
    [[nodiscard]] Result<void> remove_vip(const wire::AddressKey &vip) const { return vips().remove(vip); }
    /// Makes the VIPs exactly these; one that stays is steered all the while.
    [[nodiscard]] Result<void> set_vips(std::span<const wire::AddressKey> keys) const { return vips().assign(keys); }
    [[nodiscard]] Result<std::vector<wire::AddressKey>> list_vips() const { return vips().list(); }
    /// From now on only frames to this address are steered, whatever else the device lets in.
    [[nodiscard]] Result<void> set_device_address(const std::array<std::uint8_t, 6> &mac) const;
    /// Indexed by wire::SteerOutcome, summed over the CPUs.
    [[nodiscard]] Result<SteerCounts> read_counts() const;

  private:
    [[nodiscard]] AddressSet vips() const { return AddressSet(vips_.get()); }

    AttachedProgram program_;
    Descriptor vips_;
    Descriptor device_;
    Descriptor outcomes_;
};

} // namespace fairlead::bpf
