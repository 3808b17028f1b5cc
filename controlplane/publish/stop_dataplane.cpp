// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/stop_dataplane.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "controlplane/publish/control_socket.hpp"

namespace fairlead::publish {

namespace {

using Clock = std::chrono::steady_clock;

std::unexpected<Error> goes_on(std::string why) {
    return std::unexpected(error_of(std::move(why), "stop it by its service: systemctl stop fairlead-dataplane"));
}

bool is_readable_until(int descriptor, Clock::time_point until) {
    for (;;) {
        const auto left = std::max<long>(0, std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count());
        pollfd polled{descriptor, POLLIN, 0};
        const int ready = ::poll(&polled, 1, static_cast<int>(std::min<long>(left, 60'000)));
        if (ready > 0) return true;
        if ((ready == 0 || errno != EINTR) && left == 0) return false;
    }
}

} // namespace

std::expected<void, Error> stop_dataplane(const std::string &socket_path, std::chrono::milliseconds deadline) {
    const Patience patience{.until = Clock::now() + deadline};
    auto socket = ControlSocket::connect(socket_path);
    if (!socket) return std::unexpected(std::move(socket.error()));
    const auto process = socket->peer_process();
    // Of any version: whether it reads our snapshots does not matter any more.
    const auto hello = socket->receive(patience);
    if (!hello) return std::unexpected(hello.error().error);
    if (hello->type != wire::kControlHello) return goes_on(fmt::format("dataplane: type {} before its hello", hello->type));

    const auto stop = make_control_message<wire::ControlStop>(wire::kControlStop);
    if (auto sent = socket->send(stop, -1, patience); !sent) return std::unexpected(sent.error().error);
    const auto answer = socket->receive(patience);
    if (!answer || answer->type != wire::kControlStopping)
        return goes_on("the dataplane does not stop when asked: it is of a version that knows no such message, or hangs");
    const int end = process ? process.get() : socket->descriptor();
    if (!is_readable_until(end, patience.until))
        return goes_on(fmt::format("the dataplane said that it stops, and still runs after {} ms", deadline.count()));
    return {};
}

} // namespace fairlead::publish
