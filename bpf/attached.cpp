// SPDX-License-Identifier: Apache-2.0
#include "bpf/attached.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace fairlead::bpf {

namespace {

/// The name as the kernel keeps it: libbpf cuts what is longer.
std::string_view kernel_name(std::string_view name) { return name.substr(0, BPF_OBJ_NAME_LEN - 1); }

std::string_view text_of(const char (&name)[BPF_OBJ_NAME_LEN]) { return {name, ::strnlen(name, sizeof(name))}; }

} // namespace

std::string_view mode_name(XdpMode mode) {
    switch (mode) {
    case XdpMode::kGeneric: return "generic";
    case XdpMode::kOffload: return "offload";
    case XdpMode::kNative: break;
    }
    return "native";
}

std::uint32_t mode_flag(XdpMode mode) {
    switch (mode) {
    case XdpMode::kGeneric: return XDP_FLAGS_SKB_MODE;
    case XdpMode::kOffload: return XDP_FLAGS_HW_MODE;
    case XdpMode::kNative: break;
    }
    return XDP_FLAGS_DRV_MODE;
}

Result<ProgramTag> read_tag(int program) {
    bpf_prog_info info{};
    std::uint32_t info_size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program, &info, &info_size) != 0)
        return std::unexpected(explain("cannot read about an XDP program", errno));
    return std::to_array(info.tag);
}

Result<unsigned> interface_index(const std::string &name) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) return std::unexpected("no interface named '" + name + "' in this network namespace");
    return index;
}

std::string driver_name(unsigned interface_index) {
    ifreq request{};
    ethtool_drvinfo information{};
    information.cmd = ETHTOOL_GDRVINFO;
    request.ifr_data = reinterpret_cast<char *>(&information);
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const bool is_told = ::if_indextoname(interface_index, request.ifr_name) != nullptr &&
                         ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
    return is_told ? std::string(information.driver, ::strnlen(information.driver, sizeof(information.driver))) : "";
}

Result<std::optional<AttachedProgram>> AttachedProgram::find(unsigned interface_index) {
    bpf_xdp_query_opts query{};
    query.sz = sizeof(query);
    if (const int error = bpf_xdp_query(static_cast<int>(interface_index), 0, &query); error < 0)
        return std::unexpected(explain("cannot ask the interface for its XDP program", -error));

    AttachedProgram found;
    if (query.drv_prog_id != 0) found.id_ = query.drv_prog_id;
    else if (query.skb_prog_id != 0) found.id_ = query.skb_prog_id, found.mode_ = XdpMode::kGeneric;
    else if (query.hw_prog_id != 0) found.id_ = query.hw_prog_id, found.mode_ = XdpMode::kOffload;
    else return std::nullopt;

    found.program_ = Descriptor(bpf_prog_get_fd_by_id(found.id_));
    if (found.descriptor() < 0)
        return std::unexpected(explain("cannot open XDP program " + std::to_string(found.id_), errno));

    bpf_prog_info info{};
    found.map_ids_.resize(64); // one of our programs has four maps; what a foreign one has is not asked for
    info.nr_map_ids = static_cast<std::uint32_t>(found.map_ids_.size());
    info.map_ids = reinterpret_cast<std::uintptr_t>(found.map_ids_.data());
    std::uint32_t info_size = sizeof(info);
    if (bpf_obj_get_info_by_fd(found.descriptor(), &info, &info_size) != 0)
        return std::unexpected(explain("cannot read about XDP program " + std::to_string(found.id_), errno));
    found.map_ids_.resize(std::min<std::size_t>(found.map_ids_.size(), info.nr_map_ids));
    found.name_ = text_of(info.name);
    found.tag_ = std::to_array(info.tag);
    return found;
}

Result<std::optional<AttachedProgram>> AttachedProgram::find_own(unsigned interface_index, std::string_view own_name) {
    auto found = find(interface_index);
    if (!found || !*found || (*found)->name() == own_name) return found;
    return std::unexpected("the interface has another XDP program, '" + (*found)->name() + "' (id " +
                           std::to_string((*found)->id()) + "), which stays; detach it first");
}

Result<Descriptor> AttachedProgram::open_map(std::string_view map_name) const {
    for (const auto map_id : map_ids_) {
        Descriptor map(bpf_map_get_fd_by_id(map_id));
        if (map.get() < 0) return std::unexpected(explain("cannot open a map of XDP program " + name_, errno));
        bpf_map_info info{};
        std::uint32_t info_size = sizeof(info);
        if (bpf_obj_get_info_by_fd(map.get(), &info, &info_size) != 0)
            return std::unexpected(explain("cannot read about a map of XDP program " + name_, errno));
        if (text_of(info.name) == kernel_name(map_name)) return map;
    }
    return std::unexpected("XDP program " + name_ + " has no map named " + std::string(map_name));
}

Result<void> AttachedProgram::detach(unsigned interface_index) const {
    bpf_xdp_attach_opts options{};
    options.sz = sizeof(options);
    options.old_prog_fd = descriptor();
    const int error = bpf_xdp_detach(static_cast<int>(interface_index), mode_flag(mode_), &options);
    if (error < 0) return std::unexpected(explain("cannot detach XDP program " + name_, -error));
    return {};
}

} // namespace fairlead::bpf
