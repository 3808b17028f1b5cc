// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/counters_reader.hpp"

#include <utility>

#include "controlplane/publish/control_socket.hpp"

namespace fairlead::publish {

CountersReader::CountersReader(std::string socket_path, std::chrono::milliseconds deadline)
    : socket_path_(std::move(socket_path)), deadline_(deadline) {}

CountersReader::~CountersReader() = default;

std::expected<std::shared_ptr<const CountersMap>, Error> CountersReader::current() {
    const std::lock_guard lock(mutex_);
    // The dataplane says nothing unasked after its counters: anything to read is the end of the connection.
    if (socket_ && !socket_->is_quiet()) socket_.reset();
    if (socket_) return map_;
    map_.reset();
    return ask();
}

std::expected<std::shared_ptr<const CountersMap>, Error> CountersReader::ask() {
    const Patience patience{.until = std::chrono::steady_clock::now() + deadline_};
    auto socket = ControlSocket::connect(socket_path_);
    if (!socket) return std::unexpected(socket.error());
    if (auto hello = socket->receive_hello(patience); !hello) return std::unexpected(hello.error().error);

    const auto question = make_control_message<wire::ControlGetCounters>(wire::kControlGetCounters);
    if (auto sent = socket->send(question, -1, patience); !sent) return std::unexpected(sent.error().error);
    auto answer = socket->receive(patience);
    if (!answer) return std::unexpected(answer.error().error);
    if (answer->type != wire::kControlCounters || !answer->descriptor)
        return std::unexpected(error_of("dataplane: it was asked for its counters and sent something else"));

    auto map = CountersMap::map(std::move(answer->descriptor), answer->as<wire::ControlCounters>().size);
    if (!map) return std::unexpected(map.error());
    socket_ = std::make_unique<ControlSocket>(std::move(*socket));
    map_ = *map;
    return map_;
}

} // namespace fairlead::publish
