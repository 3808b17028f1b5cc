// SPDX-License-Identifier: Apache-2.0
/// The XDP program that is attached to an interface, and its maps, found through the kernel's ids:
/// nothing is pinned, since /sys/fs/bpf is not mounted in network namespaces.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bpf/maps.hpp"

namespace fairlead::bpf {

enum class XdpMode { kNative, kGeneric, kOffload };

[[nodiscard]] std::string_view mode_name(XdpMode mode);

/// The XDP_FLAGS_* bit that asks for this mode.
[[nodiscard]] std::uint32_t mode_flag(XdpMode mode);

/// A digest of a program's instructions: equal for equal programs on one kernel.
using ProgramTag = std::array<std::uint8_t, 8>;
[[nodiscard]] Result<ProgramTag> read_tag(int program);

/// The index of an interface of this network namespace.
[[nodiscard]] Result<unsigned> interface_index(const std::string &name);

/// The name of an interface's driver; empty where it has none to tell.
[[nodiscard]] std::string driver_name(unsigned interface_index);

class AttachedProgram {
  public:
    /// Nothing where no XDP program is attached.
    [[nodiscard]] static Result<std::optional<AttachedProgram>> find(unsigned interface_index);
    /// The same, and an error where the program has another name than this one of ours.
    [[nodiscard]] static Result<std::optional<AttachedProgram>> find_own(unsigned interface_index,
                                                                         std::string_view own_name);

    [[nodiscard]] std::uint32_t id() const { return id_; }
    [[nodiscard]] int descriptor() const { return program_.get(); }
    [[nodiscard]] XdpMode mode() const { return mode_; }
    /// The kernel keeps at most 15 characters of a name.
    [[nodiscard]] const std::string &name() const { return name_; }
    [[nodiscard]] const ProgramTag &tag() const { return tag_; }

    [[nodiscard]] Result<Descriptor> open_map(std::string_view map_name) const;

    /// Takes this program off the interface; fails if another one has taken its place since.
    [[nodiscard]] Result<void> detach(unsigned interface_index) const;

  private:
    Descriptor program_;
    std::uint32_t id_ = 0;
    XdpMode mode_ = XdpMode::kNative;
    std::string name_;
    ProgramTag tag_{};
    std::vector<std::uint32_t> map_ids_;
};

} // namespace fairlead::bpf
