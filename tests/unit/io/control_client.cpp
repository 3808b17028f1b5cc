// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/io/control_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <chrono>
#include <thread>

namespace fairlead::io::test {

using namespace wire;

ControlClient ControlClient::connect(const std::filesystem::path &path) {
    ControlClient client;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    for (int attempt = 0; attempt < 1000; ++attempt) {
        Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        const timeval patience{.tv_sec = 5, .tv_usec = 0};
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0) {
            client.socket_ = std::move(socket);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return client;
}

bool ControlClient::send(std::span<const std::byte> bytes, std::span<const int> descriptors) const {
    iovec part{.iov_base = const_cast<std::byte *>(bytes.data()), .iov_len = bytes.size()};
    std::vector<char> control(CMSG_SPACE(descriptors.size_bytes()));
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (!descriptors.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    return ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::optional<Reply> ControlClient::receive() const {
    Reply reply;
    reply.bytes.resize(kControlMessageSizeMax);
    iovec part{.iov_base = reply.bytes.data(), .iov_len = reply.bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (size <= 0) return std::nullopt;
    reply.bytes.resize(static_cast<std::size_t>(size));
    if (const cmsghdr *rights = CMSG_FIRSTHDR(&header); rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(rights), sizeof(number));
        reply.descriptor = Descriptor(number);
    }
    return reply;
}

bool ControlClient::send_segment(u64 id, std::span<const std::byte> bytes) const {
    const auto file = memory_file(bytes);
    auto message = message_of<ControlSegment>(kControlSegment);
    message.id = id;
    return send(message, std::array{file.get()});
}

bool ControlClient::send_root(u64 generation, std::span<const std::byte> bytes) const {
    const auto file = memory_file(bytes);
    auto message = message_of<ControlPublish>(kControlPublish);
    message.generation = generation;
    return send(message, std::array{file.get()});
}

std::optional<Reply> ControlClient::publish(const SnapshotSample &sample) const {
    const bool sent = send_segment(sample.rows_id, sample.rows()) && send_segment(sample.hops_id, sample.hops()) &&
                      send_root(sample.generation, sample.root());
    return sent ? receive() : std::nullopt;
}

} // namespace fairlead::io::test
