// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/stop_dataplane.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "controlplane/publish/control_socket.hpp"
#include "controlplane/publish/process.hpp"

namespace fairlead::publish {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kEndsWithin{1}; ///< one that gives no answer, and is ending
/// One whose end was a crash is started again by systemd, 200 ms later (RestartSec), and then begins with its lock.
constexpr std::chrono::seconds kStaysEnded{1};
constexpr std::chrono::milliseconds kGlance{50};

std::unexpected<Error> goes_on(std::string why) {
    return std::unexpected(error_of(std::move(why), "stop it by its service: systemctl stop fairlead-dataplane"));
}

/// What the dataplane holds from its start to its end (dataplane/io/runtime_directory.hpp), also while it does not listen.
std::string lock_beside(const std::string &socket_path) { return std::filesystem::path(socket_path).parent_path() / "dataplane.lock"; }

/// Asks it to stop. Of any version: whether it reads our snapshots does not matter any more.
std::expected<void, Error> ask(ControlSocket &socket, const Patience &patience) {
    const auto hello = socket.receive(patience);
    if (!hello) return goes_on(hello.error().error.what);
    if (hello->type != wire::kControlHello) return goes_on(fmt::format("dataplane: type {} before its hello", hello->type));
    const auto stop = make_control_message<wire::ControlStop>(wire::kControlStop);
    if (auto sent = socket.send(stop, -1, patience); !sent) return goes_on(sent.error().error.what);
    const auto answer = socket.receive(patience);
    if (!answer || answer->type != wire::kControlStopping)
        return goes_on("the dataplane does not stop when asked: it is of a version that knows no such message, or hangs");
    return {};
}

std::expected<void, Error> stays_ended(const std::string &socket_path) {
    for (const auto until = Clock::now() + kStaysEnded; Clock::now() < until; std::this_thread::sleep_for(kGlance))
        if (ControlSocket::open(socket_path) || lock_holder(lock_beside(socket_path)))
            return goes_on("the dataplane has ended, and has been started again, as systemd does where its end is a crash");
    return {};
}

} // namespace

std::expected<void, Error> stop_dataplane(const std::string &socket_path, std::chrono::milliseconds deadline) {
    const Patience patience{.until = Clock::now() + deadline};
    auto socket = ControlSocket::open(socket_path);
    if (!socket && socket.error() != ENOENT && socket.error() != ECONNREFUSED)
        return std::unexpected(ControlSocket::unreachable(socket_path, socket.error()));
    // Where nobody listens it has ended, or is ending: it closes its socket first.
    const Descriptor process = socket ? peer_process(socket->descriptor()) : lock_holder(lock_beside(socket_path));
    if (socket) {
        auto asked = ask(*socket, patience);
        const bool has_ended = !asked && process && is_readable_until(process.get(), Clock::now() + kEndsWithin);
        if (!asked && !has_ended) return asked;
    }
    const int end = process ? process.get() : socket ? socket->descriptor() : -1;
    if (end >= 0 && !is_readable_until(end, patience.until))
        return goes_on(fmt::format("the dataplane {}, and still runs after {} ms", socket ? "said that it stops" : "does not listen any more",
                                   deadline.count()));
    return stays_ended(socket_path);
}

} // namespace fairlead::publish
