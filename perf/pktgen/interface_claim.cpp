// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/interface_claim.hpp"

#include "bpf/attached.hpp"
#include "dataplane/io/program_holder.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>

namespace fairlead::pktgen {

namespace {

constexpr const char *kDriverProgram = "xsk_def_prog"; // libxdp's, which DPDK's driver attaches where it is given none

/// Who listens on the lock; empty where nobody can be asked.
std::string lock_owner(const sockaddr_un &address, socklen_t size) {
    const io::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ucred owner{};
    socklen_t owner_size = sizeof(owner);
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address), size) != 0 ||
        ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &owner, &owner_size) != 0 || owner.pid == 0)
        return {};
    return fmt::format(", process {}", owner.pid);
}

io::Result<io::Descriptor> lock(const std::string &interface) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX; // then a zero byte: an abstract address
    const std::string name = "fairlead-pktgen/" + interface;
    static_assert(sizeof("fairlead-pktgen/") + 16 < sizeof(address.sun_path)); // an interface's name has at most 15 characters
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    io::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) return std::unexpected(fmt::format("cannot make a Unix socket: {}", std::strerror(errno)));
    if (::bind(socket.get(), reinterpret_cast<const sockaddr *>(&address), size) != 0) {
        if (errno == EADDRINUSE) return std::unexpected("in use by another fairlead-pktgen" + lock_owner(address, size));
        return std::unexpected(fmt::format("cannot bind a Unix socket: {}", std::strerror(errno)));
    }
    if (::listen(socket.get(), SOMAXCONN) != 0) return std::unexpected(fmt::format("cannot listen on a Unix socket: {}", std::strerror(errno)));
    return socket;
}

/// Whether a socket stands in the map of libxdp's program. The kernel lets nobody read such a map, but the program tells by
/// its verdict, which is only asked for: nothing is sent or received.
bool has_socket(const bpf::AttachedProgram &program, unsigned interface_index) {
    std::array<std::uint8_t, 64> frame{};
    xdp_md context{};
    context.data_end = frame.size();
    context.ingress_ifindex = interface_index;
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = frame.data();
    options.data_size_in = frame.size();
    options.ctx_in = &context;
    options.ctx_size_in = sizeof(context);
    for (;; ++context.rx_queue_index) {
        if (bpf_prog_test_run_opts(program.descriptor(), &options) != 0) return false; // past the last queue
        if (options.retval == XDP_REDIRECT) return true;
    }
}

/// The kernel cuts a process's name short; that of its file is whole, where it may be read.
std::string full_name(const io::ProgramHolder &holder) {
    std::error_code error;
    const auto file = std::filesystem::read_symlink("/proc/" + holder.process + "/exe", error);
    return error ? holder.name : file.filename().string();
}

io::Result<void> check_program(const std::string &interface) {
    const auto index = bpf::interface_index(interface);
    if (!index) return std::unexpected(index.error());
    const auto found = bpf::AttachedProgram::find(*index);
    if (!found) return std::unexpected(found.error());
    if (!*found) return {};
    const auto &program = **found;
    if (const auto holders = io::program_holders(program.id()); !holders.empty())
        return std::unexpected(fmt::format("in use by {}, process {}", full_name(holders.front()), holders.front().process));
    if (program.name() != kDriverProgram)
        return std::unexpected(fmt::format("the interface has another XDP program, '{}' (id {}), which stays; if nobody needs it: "
                                           "ip link set dev {} xdp off", program.name(), program.id(), interface));
    if (has_socket(program, *index)) return std::unexpected("in use by a process that receives from it by AF_XDP");
    return {};
}

} // namespace

io::Result<InterfaceClaim> InterfaceClaim::make(const std::string &interface) {
    const auto explain = [&](const std::string &why) { return std::unexpected(fmt::format("port af_xdp:{}: {}", interface, why)); };
    auto locked = lock(interface);
    if (!locked) return explain(locked.error());
    if (const auto checked = check_program(interface); !checked) return explain(checked.error());
    return InterfaceClaim(std::move(*locked));
}

} // namespace fairlead::pktgen
