// SPDX-License-Identifier: Apache-2.0
/// One connection to the dataplane's control socket: whole messages, each checked against its type's
/// length and version before anybody reads it. Not thread-safe; nothing waits without a deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <expected>
#include <span>
#include <string>

#include "controlplane/error.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "dataplane/wire/control_messages.h"

namespace fairlead::publish {

/// How long to wait, and what cuts the waiting short.
struct Patience {
    std::chrono::steady_clock::time_point until;
    int cancel = -1; ///< a descriptor; readable: give up at once
};

struct SocketFailure {
    bool timed_out = false;
    Error error;
};

/// A message that came in: of a known type, magic and version, and of exactly its type's length.
struct ControlMessage {
    std::uint16_t type = 0; ///< wire::ControlType
    Descriptor descriptor;  ///< what came with it, if anything did
    alignas(8) std::byte bytes[wire::kControlMessageSizeMax]{};

    template <class Message> [[nodiscard]] Message as() const {
        Message message;
        std::memcpy(&message, bytes, sizeof(message));
        return message;
    }
};

/// A message to send, its header filled in.
template <class Message> [[nodiscard]] Message make_control_message(wire::ControlType type) {
    Message message{};
    message.header.magic = wire::kControlMagic;
    message.header.version = wire::kControlVersion;
    message.header.type = static_cast<std::uint16_t>(type);
    message.header.length = sizeof(Message);
    return message;
}

class ControlSocket {
  public:
    [[nodiscard]] static std::expected<ControlSocket, Error> connect(const std::string &path);
    /// The same with its errno, of which unreachable() makes the error. ENOENT, ECONNREFUSED: nobody listens.
    [[nodiscard]] static std::expected<ControlSocket, int> open(const std::string &path);
    [[nodiscard]] static Error unreachable(const std::string &path, int failure);

    /// @param descriptor goes along; -1: none.
    template <class Message>
    [[nodiscard]] std::expected<void, SocketFailure> send(const Message &message, int descriptor,
                                                          const Patience &patience) {
        return send_bytes(std::as_bytes(std::span(&message, 1)), descriptor, patience);
    }
    [[nodiscard]] std::expected<ControlMessage, SocketFailure> receive(const Patience &patience);

    /// Hello, which the dataplane sends first. An error if it is of another snapshot ABI.
    [[nodiscard]] std::expected<wire::ControlHello, SocketFailure> receive_hello(const Patience &patience);

    /// Whether the other end is still there. Throws nothing away: false also means "has something to say".
    [[nodiscard]] bool is_quiet() const;

    [[nodiscard]] int descriptor() const { return socket_.get(); }

  private:
    explicit ControlSocket(Descriptor socket) : socket_(std::move(socket)) {}
    [[nodiscard]] std::expected<void, SocketFailure> send_bytes(std::span<const std::byte> message, int descriptor,
                                                                const Patience &patience);
    [[nodiscard]] std::expected<void, SocketFailure> wait(short events, const Patience &patience) const;

    Descriptor socket_;
};

} // namespace fairlead::publish
