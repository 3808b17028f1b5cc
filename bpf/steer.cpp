// SPDX-License-Identifier: Apache-2.0
#include "bpf/steer.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include <bpf/bpf.h>

#include "bpf/steer.skel.h"
#include "dataplane/wire/packet.h"

namespace fairlead::bpf {

namespace {

/// An address that no packet can be for (RFC 1122, 3.2.1.3), steered for the length of a probe.
constexpr wire::Be32 kProbeAddress{};

/// The device's address as the program knows it; all zero while it does not.
wire::SteerDevice read_device(const AttachedProgram &program) {
    wire::SteerDevice device{};
    const std::uint32_t key = 0;
    if (const auto map = program.open_map(FAIRLEAD_STEER_DEVICE)) (void)bpf_map_lookup_elem(map->get(), &key, &device);
    return device;
}

/// The program's verdict on a packet to a VIP on one receive queue. Nothing is sent or received: it is
/// only run. An error: the device has no such queue.
Result<std::uint32_t> ask_verdict(const AttachedProgram &program, unsigned interface_index, std::uint32_t queue) {
    struct {
        wire::EthernetHeader ethernet;
        wire::Ipv4Header ip;
    } __attribute__((packed)) frame{};
    std::ranges::copy(read_device(program).mac, frame.ethernet.destination);
    frame.ethernet.ether_type = wire::Be16::from_host(wire::kEtherTypeIpv4);
    frame.ip.destination = kProbeAddress;
    xdp_md context{};
    context.data_end = sizeof(frame);
    context.ingress_ifindex = interface_index;
    context.rx_queue_index = queue;
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = &frame;
    options.data_size_in = sizeof(frame);
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    if (bpf_prog_test_run_opts(program.descriptor(), &options) != 0)
        return std::unexpected(explain("cannot run XDP program " + program.name(), errno));
    return options.retval;
}

/// Whether a socket stands in the program's socket map. The kernel lets nobody read such a map, but the
/// program answers by its verdict; and a process that ends takes its sockets out.
Result<bool> has_socket(const AttachedProgram &program, unsigned interface_index) {
    const auto vips = program.open_map(FAIRLEAD_STEER_VIPS);
    if (!vips) return std::unexpected(vips.error());
    const AddressSet set(vips->get());
    if (auto added = set.add(key_of(kProbeAddress)); !added) return std::unexpected(added.error());
    bool found = false;
    for (std::uint32_t queue = 0; !found; ++queue) {
        const auto verdict = ask_verdict(program, interface_index, queue);
        if (!verdict) break; // past the last queue
        found = *verdict == XDP_REDIRECT;
    }
    if (auto removed = set.remove(key_of(kProbeAddress)); !removed) return std::unexpected(removed.error());
    return found;
}

} // namespace

std::span<const std::byte> steer_object() {
    std::size_t size = 0;
    const void *bytes = steer_bpf::elf_bytes(&size);
    return {static_cast<const std::byte *>(bytes), size};
}

Result<void> write_steer_object(const std::filesystem::path &path) {
    const auto object = steer_object();
    auto unfinished = path;
    unfinished += ".new";
    std::ofstream file(unfinished, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char *>(object.data()), static_cast<std::streamsize>(object.size()));
    file.close();
    if (!file) return std::unexpected(explain("cannot write " + unfinished.string(), errno));
    std::error_code error;
    std::filesystem::rename(unfinished, path, error);
    if (error) return std::unexpected("cannot write " + path.string() + ": " + error.message());
    return {};
}

Result<bool> detach_stale_steer(unsigned interface_index) {
    const auto found = AttachedProgram::find_own(interface_index, FAIRLEAD_STEER_PROGRAM);
    if (!found) return std::unexpected(found.error());
    if (!*found) return false;
    const auto in_use = has_socket(**found, interface_index);
    if (!in_use) return std::unexpected(in_use.error());
    if (*in_use) return std::unexpected("a running process receives from the steering program on this interface");
    if (auto detached = (*found)->detach(interface_index); !detached) return std::unexpected(detached.error());
    return true;
}

Result<Steer> Steer::find(unsigned interface_index) {
    auto found = AttachedProgram::find_own(interface_index, FAIRLEAD_STEER_PROGRAM);
    if (!found) return std::unexpected(found.error());
    if (!*found) return std::unexpected("the interface has no XDP program; the steering program was expected");
    Steer steer;
    steer.program_ = std::move(**found);
    auto vips = steer.program_.open_map(FAIRLEAD_STEER_VIPS);
    if (!vips) return std::unexpected(vips.error());
    auto outcomes = steer.program_.open_map(FAIRLEAD_STEER_OUTCOMES_MAP);
    if (!outcomes) return std::unexpected(outcomes.error());
    auto device = steer.program_.open_map(FAIRLEAD_STEER_DEVICE);
    if (!device) return std::unexpected(device.error());
    steer.device_ = std::move(*device);
    steer.vips_ = std::move(*vips);
    steer.outcomes_ = std::move(*outcomes);
    return steer;
}

Result<void> Steer::set_device_address(const std::array<std::uint8_t, 6> &mac) const {
    wire::SteerDevice device{};
    std::ranges::copy(mac, device.mac);
    device.is_known = 1;
    const std::uint32_t key = 0;
    if (bpf_map_update_elem(device_.get(), &key, &device, BPF_ANY) != 0)
        return std::unexpected(explain("cannot set the steering program's device address", errno));
    return {};
}

Result<SteerCounts> Steer::read_counts() const {
    const auto sums = read_outcomes(outcomes_.get(), wire::kSteerOutcomeCount);
    if (!sums) return std::unexpected(sums.error());
    SteerCounts counts{};
    std::ranges::copy(*sums, counts.begin());
    return counts;
}

} // namespace fairlead::bpf
