// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/interface.hpp"

#include "dataplane/io/descriptor.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fairlead::io {

Result<Interface> Interface::look_up(const std::string &name) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof(request.ifr_name) - 1));
    Interface interface;
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) {
        if (errno == ENODEV) return std::unexpected(fmt::format("no interface named '{}' in this network namespace", name));
        return std::unexpected(fmt::format("cannot ask interface {} for its state: {}", name, std::strerror(errno)));
    }
    interface.is_up = (request.ifr_flags & IFF_UP) != 0;
    if (::ioctl(socket.get(), SIOCGIFMTU, &request) != 0)
        return std::unexpected(fmt::format("cannot ask interface {} for its MTU: {}", name, std::strerror(errno)));
    interface.mtu = static_cast<unsigned>(request.ifr_mtu);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0)
        return std::unexpected(fmt::format("cannot ask interface {} for its address: {}", name, std::strerror(errno)));
    std::memcpy(interface.mac.data(), request.ifr_hwaddr.sa_data, interface.mac.size());
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    request.ifr_data = reinterpret_cast<char *>(&channels);
    if (::ioctl(socket.get(), SIOCETHTOOL, &request) == 0 && channels.max_combined != 0)
        interface.queue_count = std::max(1U, channels.combined_count);
    return interface;
}

std::string missing_capabilities() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) return {};
    constexpr std::array<std::pair<unsigned, const char *>, 3> kNeeded{
        {{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_NET_RAW, "CAP_NET_RAW"}, {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}}};
    std::string missing;
    for (const auto &[capability, name] : kNeeded)
        if ((sets[capability / 32].effective >> (capability % 32) & 1) == 0) missing += (missing.empty() ? "" : ", ") + std::string(name);
    return missing;
}

} // namespace fairlead::io
