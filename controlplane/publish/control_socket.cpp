// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/control_socket.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "dataplane/wire/snapshot.h"

namespace fairlead::publish {
namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<SocketFailure> fail(std::string what, bool timed_out = false) {
    return std::unexpected(SocketFailure{timed_out, error_of("dataplane: " + std::move(what))});
}

std::unexpected<SocketFailure> fail_errno(std::string_view call) {
    return fail(fmt::format("{}: {}", call, std::strerror(errno)));
}

/// Bytes of a message that the dataplane may send; 0: it may not send this type.
std::size_t size_from_dataplane(std::uint16_t type) {
    switch (type) {
    case wire::kControlHello: return sizeof(wire::ControlHello);
    case wire::kControlAdopted: return sizeof(wire::ControlAdopted);
    case wire::kControlRefused: return sizeof(wire::ControlRefused);
    case wire::kControlCounters: return sizeof(wire::ControlCounters);
    case wire::kControlStopping: return sizeof(wire::ControlStopping);
    default: return 0;
    }
}

/// Takes the first descriptor of a received message and closes any other.
Descriptor take_descriptor(const msghdr &message) {
    Descriptor first;
    for (cmsghdr *control = CMSG_FIRSTHDR(&message); control != nullptr;
         control = CMSG_NXTHDR(const_cast<msghdr *>(&message), control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
            Descriptor received(number);
            if (!first) first = std::move(received);
        }
    }
    return first;
}

/// What is wrong with the message's header; empty: nothing.
std::string check_header(std::span<const std::byte> bytes) {
    wire::ControlHeader header;
    if (bytes.size() < sizeof(header)) return fmt::format("a message of {} bytes has no header", bytes.size());
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (header.magic != wire::kControlMagic) return "a message that is not of the control protocol";
    if (header.version != wire::kControlVersion)
        return fmt::format("it speaks version {} of the control protocol, this program version {}", header.version,
                           static_cast<int>(wire::kControlVersion));
    if (size_from_dataplane(header.type) == 0) return fmt::format("an unexpected message of type {}", header.type);
    if (header.length != bytes.size() || bytes.size() != size_from_dataplane(header.type))
        return fmt::format("a message of type {} has the wrong length ({} bytes)", header.type, bytes.size());
    return {};
}

} // namespace

std::expected<ControlSocket, Error> ControlSocket::connect(const std::string &path) {
    auto socket = open(path);
    if (!socket) return std::unexpected(unreachable(path, socket.error()));
    return std::move(*socket);
}

Error ControlSocket::unreachable(const std::string &path, int failure) {
    const auto why = [failure]() -> std::string_view {
        if (failure == ENAMETOOLONG) return "not a usable socket path";
        if (failure == EAGAIN) return "it does not accept connections";
        return std::strerror(failure);
    };
    return error_of(fmt::format("cannot reach the dataplane at {}: {}", path, why()), "is fairlead-dataplane running?");
}

std::expected<ControlSocket, int> ControlSocket::open(const std::string &path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) return std::unexpected(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

    Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0) return std::unexpected(errno);
    return ControlSocket(std::move(socket));
}

std::expected<void, SocketFailure> ControlSocket::wait(short events, const Patience &patience) const {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(patience.until - Clock::now()).count();
        if (left <= 0) return fail("no answer in time", true);
        pollfd polled[2] = {{socket_.get(), events, 0}, {patience.cancel, POLLIN, 0}};
        const int ready = ::poll(polled, 2, static_cast<int>(std::min<long>(left, 60'000)));
        if (ready < 0 && errno != EINTR) return fail_errno("poll");
        if (ready <= 0) continue;
        if (polled[1].revents != 0) return fail("given up");
        return {};
    }
}

std::expected<void, SocketFailure> ControlSocket::send_bytes(std::span<const std::byte> bytes, int descriptor,
                                                             const Patience &patience) {
    iovec part{const_cast<std::byte *>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    }
    for (;;) {
        if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return {};
        if (errno == EINTR) continue;
        if (errno == ETOOMANYREFS) {
            // Without CAP_SYS_RESOURCE at most RLIMIT_NOFILE descriptors may be on their way at once,
            // and no event tells when the dataplane has taken one.
            if (Clock::now() >= patience.until) return fail("takes no more segments", true);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            continue;
        }
        if (errno != EAGAIN) return fail_errno("send");
        if (auto writable = wait(POLLOUT, patience); !writable) return writable;
    }
}

std::expected<ControlMessage, SocketFailure> ControlSocket::receive(const Patience &patience) {
    ControlMessage received;
    iovec part{received.bytes, sizeof(received.bytes)};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
    for (;;) {
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) {
            if (auto readable = wait(POLLIN, patience); !readable) return std::unexpected(readable.error());
            continue;
        }
        if (size < 0) return fail_errno("receive");
        received.descriptor = take_descriptor(message);
        if (size == 0) return fail("it closed the connection");
        if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return fail("a message that is too long");
        const std::string wrong = check_header(std::span(received.bytes, static_cast<std::size_t>(size)));
        if (!wrong.empty()) return fail(wrong);
        received.type = received.as<wire::ControlHeader>().type;
        return received;
    }
}

std::expected<wire::ControlHello, SocketFailure> ControlSocket::receive_hello(const Patience &patience) {
    auto message = receive(patience);
    if (!message) return std::unexpected(message.error());
    if (message->type != wire::kControlHello) return fail(fmt::format("type {} before its hello", message->type));
    const auto hello = message->as<wire::ControlHello>();
    if (hello.snapshot_abi != wire::kSnapshotAbi)
        return fail(fmt::format("it reads snapshots of ABI {}, this program writes ABI {}: install both of one version",
                                hello.snapshot_abi, static_cast<int>(wire::kSnapshotAbi)));
    return hello;
}

bool ControlSocket::is_quiet() const {
    pollfd polled{socket_.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 0;
}

} // namespace fairlead::publish
