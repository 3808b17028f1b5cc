// SPDX-License-Identifier: Apache-2.0
/// The dataplane's end of the control socket, played by a test step by step: a real SEQPACKET socket in
/// a directory of its own. Each step waits at most kStepLimit and fails the test when nothing comes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "controlplane/publish/control_socket.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "dataplane/wire/control_messages.h"
#include "dataplane/wire/snapshot.h"

namespace fairlead::publish::test {

inline constexpr std::chrono::milliseconds kStepLimit{10'000};

inline bool is_readable(int descriptor, std::chrono::milliseconds limit) {
    pollfd polled{descriptor, POLLIN, 0};
    return ::poll(&polled, 1, static_cast<int>(limit.count())) > 0;
}

/// A directory that goes when the test does.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "fairlead-publish-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    TemporaryDirectory(const TemporaryDirectory &) = delete;
    TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;
    [[nodiscard]] std::string file(const std::string &name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

/// What arrived at the dataplane's end.
struct Arrival {
    std::uint16_t type = 0;
    std::uint64_t number = 0; ///< a segment's id, a publication's generation
    Descriptor descriptor;

    /// The bytes of the memory file that came along.
    [[nodiscard]] std::vector<std::byte> content() const {
        struct stat status {};
        if (::fstat(descriptor.get(), &status) != 0) return {};
        std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
        if (::pread(descriptor.get(), bytes.data(), bytes.size(), 0) != status.st_size) return {};
        return bytes;
    }
};

class DataplaneEnd {
  public:
    explicit DataplaneEnd(const std::string &path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
        ::unlink(path.c_str());
        listener_ = Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
        EXPECT_EQ(::listen(listener_.get(), 8), 0);
    }

    /// Waits for the next connection, which becomes the one that the other steps are about.
    [[nodiscard]] bool accept(std::chrono::milliseconds limit = kStepLimit) {
        if (!is_readable(listener_.get(), limit)) return false;
        peer_ = Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        return static_cast<bool>(peer_);
    }
    void say_hello(std::uint64_t generation) { send(hello(generation)); }
    [[nodiscard]] static wire::ControlHello hello(std::uint64_t generation) {
        auto message = make_control_message<wire::ControlHello>(wire::kControlHello);
        message.generation = generation;
        message.pid = 4242;
        message.worker_count = 2;
        message.snapshot_abi = wire::kSnapshotAbi;
        std::strcpy(message.version, "0.1.0");
        return message;
    }
    void adopt(std::uint64_t generation) {
        auto message = make_control_message<wire::ControlAdopted>(wire::kControlAdopted);
        message.generation = generation;
        send(message);
    }
    void refuse(std::uint64_t generation, std::uint64_t segment_id, const char *reason, std::uint64_t running = 0) {
        auto message = make_control_message<wire::ControlRefused>(wire::kControlRefused);
        message.generation = generation;
        message.segment_id = segment_id;
        message.running = running;
        std::strncpy(message.reason, reason, sizeof(message.reason) - 1);
        send(message);
    }

    template <class Message> void send(const Message &message, int descriptor = -1) {
        send_bytes(std::as_bytes(std::span(&message, 1)), descriptor);
    }
    void send_bytes(std::span<const std::byte> bytes, int descriptor = -1) {
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
        EXPECT_EQ(::sendmsg(peer_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

    /// The next message; type 0: the other end closed, or nothing came.
    [[nodiscard]] Arrival receive() {
        Arrival arrival;
        if (!is_readable(peer_.get(), kStepLimit)) return arrival;
        alignas(8) std::byte bytes[wire::kControlMessageSizeMax];
        iovec part{bytes, sizeof(bytes)};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        const ssize_t size = ::recvmsg(peer_.get(), &message, MSG_CMSG_CLOEXEC);
        if (size < static_cast<ssize_t>(sizeof(wire::ControlHeader))) return arrival;
        wire::ControlHeader header;
        std::memcpy(&header, bytes, sizeof(header));
        EXPECT_EQ(header.magic, wire::kControlMagic);
        EXPECT_EQ(header.version, wire::kControlVersion);
        EXPECT_EQ(header.length, size);
        arrival.type = header.type;
        if (size >= static_cast<ssize_t>(sizeof(header) + 8)) std::memcpy(&arrival.number, bytes + sizeof(header), 8);
        if (const cmsghdr *rights = CMSG_FIRSTHDR(&message); rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(rights), sizeof(int));
            arrival.descriptor = Descriptor(number);
        }
        return arrival;
    }

    /// Receives a publication up to its root: the ids of the segments that came before it.
    [[nodiscard]] std::vector<std::uint64_t> receive_publication(std::uint64_t generation) {
        std::vector<std::uint64_t> ids;
        for (;;) {
            const Arrival arrival = receive();
            if (arrival.type == wire::kControlSegment) {
                EXPECT_TRUE(arrival.descriptor) << "segment " << arrival.number;
                ids.push_back(arrival.number);
                continue;
            }
            EXPECT_EQ(arrival.type, wire::kControlPublish);
            EXPECT_EQ(arrival.number, generation);
            EXPECT_TRUE(arrival.descriptor);
            return ids;
        }
    }

    void hang_up() { peer_.reset(); }
    [[nodiscard]] bool peer_hung_up() {
        char byte = 0;
        return is_readable(peer_.get(), kStepLimit) && ::recv(peer_.get(), &byte, 1, MSG_PEEK) == 0;
    }
    [[nodiscard]] bool is_silent(std::chrono::milliseconds time) { return !is_readable(peer_.get(), time); }

  private:
    Descriptor listener_;
    Descriptor peer_;
};

} // namespace fairlead::publish::test
