// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/steering.hpp"

#include "dataplane/io/interface.hpp"
#include "dataplane/io/program_holder.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::io {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kObjectPrefix = "steer-"; // then the interface's name
constexpr std::string_view kObjectSuffix = ".bpf.o";

/// The other dataplane process that loaded this program; empty: it is gone. Who merely looks at the program has another name.
std::string living_owner(std::uint32_t program_id) {
    for (const auto &holder : program_holders(program_id))
        if (holder.name == own_process_name()) return holder.process;
    return {};
}

} // namespace

void Steering::clear_leftovers(const fs::path &directory, std::span<const Steering> successors) {
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(kObjectPrefix) || std::ranges::find(successors, entry.path(), &Steering::object_path) != successors.end())
            continue;
        const auto interface = name.substr(kObjectPrefix.size(), name.rfind(kObjectSuffix) - kObjectPrefix.size());
        fs::remove(entry.path(), error);
        const auto index = bpf::interface_index(interface);
        if (!index) continue; // gone, and its program with it
        const auto found = bpf::AttachedProgram::find(*index);
        if (!found || !*found || !living_owner((*found)->id()).empty()) continue;
        if (bpf::detach_stale_steer(*index).value_or(false)) spdlog::info("took a killed dataplane's program off {}", interface);
    }
}

Result<Steering> Steering::prepare(const std::string &interface, const fs::path &directory) {
    const auto explain = [&](const std::string &why) { return std::unexpected(fmt::format("port af_xdp:{}: {}", interface, why)); };
    const auto index = bpf::interface_index(interface);
    if (!index) return explain(index.error());
    const auto found = bpf::AttachedProgram::find(*index);
    if (!found) return explain(found.error());
    if (*found)
        if (const auto owner = living_owner((*found)->id()); !owner.empty())
            return explain(fmt::format("in use by another dataplane, process {}", owner));
    const auto was_stale = bpf::detach_stale_steer(*index);
    if (!was_stale) return explain(was_stale.error());
    auto path = directory / fmt::format("{}{}{}", kObjectPrefix, interface, kObjectSuffix);
    if (auto written = bpf::write_steer_object(path); !written) return explain(written.error());
    return Steering(interface, std::move(path), *was_stale);
}

Steering::Steering(std::string interface, fs::path object_path, bool was_stale)
    : interface_(std::move(interface)), object_path_(std::move(object_path)), was_stale_(was_stale) {}

Steering::Steering(Steering &&other) noexcept
    : interface_(std::move(other.interface_)), object_path_(std::exchange(other.object_path_, {})),
      was_stale_(other.was_stale_), program_(std::move(other.program_)), steered_(std::move(other.steered_)) {}

Steering::~Steering() {
    if (!object_path_.empty()) ::unlink(object_path_.c_str());
}

Result<void> Steering::attached() {
    const auto index = bpf::interface_index(interface_);
    if (!index) return std::unexpected(index.error());
    auto program = bpf::Steer::find(*index);
    if (!program) return std::unexpected(fmt::format("port af_xdp:{}: {}", interface_, program.error()));
    program_.emplace(std::move(*program));
    return follow_device();
}

/// Tells the program the interface's address, which an operator may change.
Result<void> Steering::follow_device() {
    const auto interface = Interface::look_up(interface_);
    if (!interface) return std::unexpected(fmt::format("port af_xdp:{}: {}", interface_, interface.error()));
    if (auto set = program_->set_device_address(interface->mac); !set) return std::unexpected(fmt::format("port af_xdp:{}: {}", interface_, set.error()));
    return {};
}

bpf::SteerCounts Steering::counts() const { return program_ ? program_->read_counts().value_or(bpf::SteerCounts{}) : bpf::SteerCounts{}; }

Result<void> Steering::add(std::span<const wire::Be32> vips) {
    if (auto followed = follow_device(); !followed) return followed;
    std::vector<wire::Be32> added;
    for (const auto vip : vips) {
        if (!steered_.insert(vip.raw).second) continue;
        added.push_back(vip);
        const auto result = program_->add_vip(bpf::key_of(vip));
        if (result) continue;
        for (const auto undone : added) {
            (void)program_->remove_vip(bpf::key_of(undone)); // best effort: a leftover only brings packets that are dropped by name
            steered_.erase(undone.raw);
        }
        return std::unexpected(fmt::format("port af_xdp:{}: {}", interface_, result.error()));
    }
    return {};
}

Result<void> Steering::keep_only(const std::set<wire::u32> &vips) {
    for (auto vip = steered_.begin(); vip != steered_.end();) {
        if (vips.contains(*vip)) {
            ++vip;
            continue;
        }
        if (auto removed = program_->remove_vip(bpf::key_of(wire::Be32{*vip})); !removed)
            return std::unexpected(fmt::format("port af_xdp:{}: {}", interface_, removed.error()));
        vip = steered_.erase(vip);
    }
    return {};
}

} // namespace fairlead::io
