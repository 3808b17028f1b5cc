// SPDX-License-Identifier: Apache-2.0
#include "bpf/backend.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <memory>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "bpf/backend.skel.h"
#include "bpf/forwarding.hpp"

namespace fairlead::bpf {

namespace {

using Skeleton = std::unique_ptr<backend_bpf, decltype(&backend_bpf::destroy)>;

/// What the driver had to say (netlink's extended acknowledgement), which libbpf only prints.
thread_local std::string kernel_message;

int keep_kernel_message(libbpf_print_level, const char *format, std::va_list arguments) {
    char line[256];
    const int length = std::vsnprintf(line, sizeof(line), format, arguments);
    constexpr std::string_view kPrefix = "libbpf: Kernel error message: ";
    std::string_view text(line, std::min(static_cast<std::size_t>(std::max(length, 0)), sizeof(line) - 1));
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.starts_with(kPrefix)) kernel_message = text.substr(kPrefix.size());
    return length;
}

Result<Skeleton> load_program() {
    libbpf_set_print(keep_kernel_message);
    Skeleton skeleton(backend_bpf::open(), &backend_bpf::destroy);
    if (!skeleton) return std::unexpected(explain("cannot open the embedded program", errno));
    if (const int error = backend_bpf::load(skeleton.get()); error != 0)
        return std::unexpected(explain("cannot load the program into the kernel", -error));
    return skeleton;
}

/// Descriptors of the maps that hold the settings; owned by whoever found them.
struct SettingsMaps {
    int balancers;
    int vips;
    int config;
};

wire::u8 second_chance_of(const BackendSettings &settings) {
    if (!settings.second_chance) return wire::kSecondChanceOff;
    return settings.transmit == Transmit::kKernel ? wire::kSecondChanceKernel : wire::kSecondChanceXdp;
}

Transmit transmit_of(wire::u8 second_chance) {
    if (second_chance == wire::kSecondChanceOff) return Transmit::kAutomatic;
    return second_chance == wire::kSecondChanceKernel ? Transmit::kKernel : Transmit::kXdp;
}

Result<void> write_settings(const SettingsMaps &maps, const BackendSettings &settings, bool raised_forwarding) {
    if (auto written = AddressSet(maps.balancers).assign(settings.balancers); !written) return written;
    if (auto written = AddressSet(maps.vips).assign(settings.vips); !written) return written;
    const wire::u32 only = 0;
    const wire::BackendConfig config{.gue_port = wire::Be16::from_host(settings.gue_port),
                                     .second_chance = second_chance_of(settings),
                                     .raised_forwarding = raised_forwarding};
    if (bpf_map_update_elem(maps.config, &only, &config, BPF_ANY) != 0)
        return std::unexpected(explain("cannot set the program's configuration", errno));
    return {};
}

/// Whether the attach that put this program there turned the device's forwarding on. The program's own map
/// remembers it, as it lives as long as the program is attached; one of another layout never did.
bool has_raised_forwarding(const AttachedProgram &program) {
    const auto map = program.open_map(FAIRLEAD_BACKEND_CONFIG);
    if (!map) return false;
    bpf_map_info info{};
    std::uint32_t info_size = sizeof(info);
    const wire::u32 only = 0;
    wire::BackendConfig config{};
    return bpf_obj_get_info_by_fd(map->get(), &info, &info_size) == 0 && info.value_size == sizeof(config) &&
           bpf_map_lookup_elem(map->get(), &only, &config) == 0 && config.raised_forwarding != 0;
}

/// The maps of the program on the interface, by the names they were given.
struct AttachedMaps {
    Descriptor balancers, vips, config, outcomes;

    static Result<AttachedMaps> open(const AttachedProgram &program) {
        AttachedMaps maps;
        const std::pair<Descriptor *, const char *> wanted[] = {{&maps.balancers, FAIRLEAD_BACKEND_BALANCERS},
                                                                {&maps.vips, FAIRLEAD_BACKEND_VIPS},
                                                                {&maps.config, FAIRLEAD_BACKEND_CONFIG},
                                                                {&maps.outcomes, FAIRLEAD_BACKEND_OUTCOMES_MAP}};
        for (const auto &[map, name] : wanted) {
            auto opened = program.open_map(name);
            if (!opened) return std::unexpected(opened.error());
            *map = std::move(*opened);
        }
        return maps;
    }
    [[nodiscard]] SettingsMaps settings() const { return {balancers.get(), vips.get(), config.get()}; }
};

/// Attaches in one mode, in place of `old` (a program descriptor) if there is one. Returns a negative errno or 0.
int attach_in_mode(unsigned interface_index, int program, XdpMode mode, const AttachedProgram *old) {
    bpf_xdp_attach_opts options{};
    options.sz = sizeof(options);
    options.old_prog_fd = old ? old->descriptor() : 0;
    const std::uint32_t how = old ? XDP_FLAGS_REPLACE : XDP_FLAGS_UPDATE_IF_NOEXIST;
    return bpf_xdp_attach(static_cast<int>(interface_index), program, mode_flag(mode) | how, old ? &options : nullptr);
}

std::string refused(XdpMode mode, int error) {
    auto line = explain("cannot attach in " + std::string(mode_name(mode)) + " mode", error);
    if (!kernel_message.empty()) line += " (" + kernel_message + ")";
    return line;
}

Result<void> attach_fresh(unsigned interface_index, int program, ModeChoice choice) {
    if (choice != ModeChoice::kGeneric) {
        const int error = attach_in_mode(interface_index, program, XdpMode::kNative, nullptr);
        if (error == 0) return {};
        const bool could_generic = error != -EPERM && error != -EBUSY && error != -EEXIST;
        if (choice == ModeChoice::kNative || !could_generic)
            return std::unexpected(refused(XdpMode::kNative, -error));
    }
    const int error = attach_in_mode(interface_index, program, XdpMode::kGeneric, nullptr);
    if (error != 0) return std::unexpected(refused(XdpMode::kGeneric, -error));
    return {};
}

bool suits(XdpMode present, ModeChoice wanted) {
    return wanted == ModeChoice::kAutomatic || (wanted == ModeChoice::kNative) == (present == XdpMode::kNative);
}

/// The kernel allows one mode at a time, so another mode means a moment without a program; where the new
/// one cannot be attached, the old one comes back.
Result<void> replace(unsigned interface_index, const AttachedProgram &old, int program, ModeChoice choice) {
    if (suits(old.mode(), choice)) {
        const int error = attach_in_mode(interface_index, program, old.mode(), &old);
        if (error != 0) return std::unexpected(refused(old.mode(), -error));
        return {};
    }
    if (auto detached = old.detach(interface_index); !detached) return detached;
    auto attached = attach_fresh(interface_index, program, choice);
    if (!attached) attach_in_mode(interface_index, old.descriptor(), old.mode(), nullptr);
    return attached;
}

/// Settings of the program that is there, where it is this very one and in the wanted mode; else this one
/// with its settings, in its place.
Result<AttachResult> put(unsigned interface_index, const std::optional<AttachedProgram> &found,
                         const BackendSettings &settings, bool raised_forwarding, ModeChoice mode) {
    const auto skeleton = load_program();
    if (!skeleton) return std::unexpected(skeleton.error());
    const backend_bpf &loaded = **skeleton;
    const int program = bpf_program__fd(loaded.progs.fairlead_back);

    if (found && suits(found->mode(), mode)) {
        const auto tag = read_tag(program);
        if (!tag) return std::unexpected(tag.error());
        if (*tag == found->tag()) {
            const auto maps = AttachedMaps::open(*found);
            if (!maps) return std::unexpected(maps.error());
            if (auto written = write_settings(maps->settings(), settings, raised_forwarding); !written)
                return std::unexpected(written.error());
            return AttachResult::kUpdated;
        }
    }

    const SettingsMaps maps{bpf_map__fd(loaded.maps.balancers), bpf_map__fd(loaded.maps.backend_vips),
                            bpf_map__fd(loaded.maps.backend_config)};
    if (auto written = write_settings(maps, settings, raised_forwarding); !written)
        return std::unexpected(written.error());
    const auto done = found ? replace(interface_index, *found, program, mode)
                            : attach_fresh(interface_index, program, mode);
    if (!done) return std::unexpected(done.error());
    return found ? AttachResult::kReplaced : AttachResult::kAttached;
}

} // namespace

Result<AttachResult> attach_backend(unsigned interface_index, const BackendSettings &wanted, ModeChoice mode) {
    auto settings = wanted;
    if (settings.transmit == Transmit::kAutomatic && driver_name(interface_index) == "veth")
        settings.transmit = Transmit::kKernel;
    const auto found = AttachedProgram::find_own(interface_index, FAIRLEAD_BACKEND_PROGRAM);
    if (!found) return std::unexpected(found.error());
    // Forwarding is on before the program needs it, and off after it has stopped to.
    const bool was_raised = *found && has_raised_forwarding(**found);
    const auto raised_now = settings.second_chance ? raise_forwarding(interface_index) : Result<bool>(false);
    if (!raised_now) return std::unexpected(raised_now.error());
    const bool raised = settings.second_chance && (was_raised || *raised_now);
    const auto result = put(interface_index, *found, settings, raised, mode);
    const bool is_over = result ? was_raised && !raised : *raised_now;
    if (is_over) {
        const auto lowered = lower_forwarding(interface_index);
        if (!lowered && result) return std::unexpected(lowered.error());
    }
    return result;
}

Result<std::optional<BackendStatus>> read_backend(unsigned interface_index) {
    const auto found = AttachedProgram::find_own(interface_index, FAIRLEAD_BACKEND_PROGRAM);
    if (!found) return std::unexpected(found.error());
    if (!*found) return std::nullopt;
    const auto maps = AttachedMaps::open(**found);
    if (!maps) return std::unexpected(maps.error());
    const auto balancers = AddressSet(maps->balancers.get()).list();
    if (!balancers) return std::unexpected(balancers.error());
    const auto vips = AddressSet(maps->vips.get()).list();
    if (!vips) return std::unexpected(vips.error());
    const wire::u32 only = 0;
    wire::BackendConfig config{};
    if (bpf_map_lookup_elem(maps->config.get(), &only, &config) != 0)
        return std::unexpected(explain("cannot read the program's configuration", errno));
    const auto counts = read_outcomes(maps->outcomes.get(), wire::kBackendOutcomeCount);
    if (!counts) return std::unexpected(counts.error());

    BackendStatus status{.program_id = (*found)->id(),
                         .mode = (*found)->mode(),
                         .settings = {*balancers, *vips, config.gue_port.host(),
                                      config.second_chance != wire::kSecondChanceOff,
                                      transmit_of(config.second_chance)},
                         .counts = {}};
    std::ranges::copy(*counts, status.counts.begin());
    return status;
}

Result<bool> detach_backend(unsigned interface_index) {
    const auto found = AttachedProgram::find_own(interface_index, FAIRLEAD_BACKEND_PROGRAM);
    if (!found) return std::unexpected(found.error());
    if (!*found) return false;
    const bool raised = has_raised_forwarding(**found);
    if (auto detached = (*found)->detach(interface_index); !detached) return std::unexpected(detached.error());
    if (!raised) return true;
    if (auto lowered = lower_forwarding(interface_index); !lowered)
        return std::unexpected("detached, but " + lowered.error());
    return true;
}

} // namespace fairlead::bpf
