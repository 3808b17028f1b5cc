// SPDX-License-Identifier: Apache-2.0
/// A peer of the control socket that can also misbehave.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "dataplane/wire/control_messages.h"
#include "tests/unit/io/snapshot_sample.hpp"

#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fairlead::io::test {

struct Reply {
    std::vector<std::byte> bytes;
    Descriptor descriptor;

    [[nodiscard]] wire::u16 type() const {
        wire::ControlHeader header{};
        if (bytes.size() >= sizeof(header)) std::memcpy(&header, bytes.data(), sizeof(header));
        return header.type;
    }
    template <class Message>
    [[nodiscard]] Message as() const {
        Message message{};
        if (bytes.size() == sizeof(message)) std::memcpy(&message, bytes.data(), sizeof(message));
        return message;
    }
};

class ControlClient {
  public:
    /// Retries for up to ten seconds while nobody listens.
    [[nodiscard]] static ControlClient connect(const std::filesystem::path &path);

    [[nodiscard]] bool is_connected() const { return static_cast<bool>(socket_); }
    [[nodiscard]] int descriptor() const { return socket_.get(); }

    bool send(std::span<const std::byte> bytes, std::span<const int> descriptors = {}) const;
    template <class Message>
    bool send(const Message &message, std::span<const int> descriptors = {}) const {
        return send(std::as_bytes(std::span(&message, 1)), descriptors);
    }
    /// Waits up to five seconds; nothing: the connection is over.
    [[nodiscard]] std::optional<Reply> receive() const;

    bool send_segment(wire::u64 id, std::span<const std::byte> bytes) const;
    bool send_root(wire::u64 generation, std::span<const std::byte> bytes) const;
    /// Sends all of a snapshot and returns the answer.
    [[nodiscard]] std::optional<Reply> publish(const SnapshotSample &sample) const;

  private:
    Descriptor socket_;
};

template <class Message>
[[nodiscard]] Message message_of(wire::ControlType type) {
    Message message{};
    message.header = {.magic = wire::kControlMagic, .version = wire::kControlVersion, .type = static_cast<wire::u16>(type),
                      .length = sizeof(Message), .reserved = 0};
    return message;
}

} // namespace fairlead::io::test
