// SPDX-License-Identifier: Apache-2.0
#include "bpf/forwarding.hpp"

#include <cerrno>

#include <fcntl.h>
#include <net/if.h>
#include <unistd.h>

namespace fairlead::bpf {

namespace {

/// Names of interfaces have no slash, and the kernel takes a dot in one for a dot.
std::string path_of(const std::string &device) { return "/proc/sys/net/ipv4/conf/" + device + "/forwarding"; }

Result<std::string> name_of(unsigned interface_index) {
    char name[IF_NAMESIZE] = {};
    if (::if_indextoname(interface_index, name) == nullptr)
        return std::unexpected(explain("cannot find the interface's name", errno));
    return name;
}

Result<bool> read_forwarding(const std::string &device) {
    const Descriptor file(::open(path_of(device).c_str(), O_RDONLY | O_CLOEXEC));
    char digit = 0;
    if (file.get() < 0 || ::read(file.get(), &digit, 1) != 1)
        return std::unexpected(explain("cannot read net.ipv4.conf." + device + ".forwarding", errno));
    return digit != '0';
}

Result<void> write_forwarding(const std::string &device, bool is_on) {
    const Descriptor file(::open(path_of(device).c_str(), O_WRONLY | O_CLOEXEC));
    if (file.get() < 0 || ::write(file.get(), is_on ? "1" : "0", 1) != 1) {
        const int error = errno;
        const std::string setting = "net.ipv4.conf." + device + ".forwarding=" + (is_on ? "1" : "0");
        return std::unexpected(explain("cannot set " + setting, error) +
                               (is_on ? "; set it yourself, or use --second-chance off" : "; set it yourself"));
    }
    return {};
}

} // namespace

Result<bool> raise_forwarding(unsigned interface_index) {
    const auto device = name_of(interface_index);
    if (!device) return std::unexpected(device.error());
    const auto before = read_forwarding(*device);
    if (!before) return std::unexpected(before.error());
    if (*before) return false;
    if (auto written = write_forwarding(*device, true); !written) return std::unexpected(written.error());
    return true;
}

Result<void> lower_forwarding(unsigned interface_index) {
    const auto device = name_of(interface_index);
    if (!device) return std::unexpected(device.error());
    const auto is_router = read_forwarding("all");
    if (!is_router) return std::unexpected(is_router.error());
    if (*is_router) return {};
    return write_forwarding(*device, false);
}

} // namespace fairlead::bpf
