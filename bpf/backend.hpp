// SPDX-License-Identifier: Apache-2.0
/// The decapsulation program (backend.bpf.c) on an interface: attach, look at, detach. The program stays
/// attached after the process that attached it has ended; nothing is pinned.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "bpf/attached.hpp"
#include "dataplane/wire/drop_reasons.h"

namespace fairlead::bpf {

/// How a packet with hops whose connection is not here leaves this host: by XDP_TX, which is quick, or by the
/// kernel, which always works. Automatic: by the kernel on a veth device, which loses what XDP_TX sends unless
/// its peer has an XDP program too.
enum class Transmit { kAutomatic, kXdp, kKernel };

struct BackendSettings {
    std::vector<wire::AddressKey> balancers; ///< who may send us encapsulated packets
    std::vector<wire::AddressKey> vips;      ///< the inner destinations that are let in
    std::uint16_t gue_port = 0;              ///< host order
    bool second_chance = true;               ///< false: hops are skipped, everything is delivered
    Transmit transmit = Transmit::kAutomatic;
};

/// Where in the receive path the program runs. Automatic: native, or generic where the driver cannot.
enum class ModeChoice { kAutomatic, kNative, kGeneric };

enum class AttachResult {
    kAttached, ///< no program was there
    kUpdated,  ///< this very program was there: its settings were changed, its counters go on
    kReplaced, ///< an older one of ours was there; counters start at 0
};

/// A program that is not ours stays, and is an error. An update in place adds before it removes, so what
/// stays allowed is never refused; a replacement is atomic unless it changes the mode. While a program with
/// the second chance is attached, the interface's IPv4 forwarding is on.
[[nodiscard]] Result<AttachResult> attach_backend(unsigned interface_index, const BackendSettings &settings,
                                                  ModeChoice mode);

struct BackendStatus {
    std::uint32_t program_id = 0;
    XdpMode mode = XdpMode::kNative;
    BackendSettings settings;                ///< transmit as it was chosen; automatic where it has no meaning
    std::array<std::uint64_t, wire::kBackendOutcomeCount> counts{}; ///< indexed by wire::BackendOutcome
};

/// Nothing where no XDP program is attached.
[[nodiscard]] Result<std::optional<BackendStatus>> read_backend(unsigned interface_index);

/// False where no XDP program was attached. A program that is not ours stays, and is an error. Forwarding is
/// as it was before attach_backend.
[[nodiscard]] Result<bool> detach_backend(unsigned interface_index);

} // namespace fairlead::bpf
