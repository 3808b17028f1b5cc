// SPDX-License-Identifier: Apache-2.0
/// The API's server: gRPC on a Unix socket that only its owner and group may use.
///
/// gRPC's threads run the handlers; those post to the controller and wait. Memory and threads are
/// bounded, whatever the number of clients and the size of what they send.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "controlplane/error.hpp"
#include "controlplane/metrics/statistics.hpp"
#include "controlplane/node/node.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead::api {

/// The right to serve a socket: a second instance cannot have it. To be taken before anything is done that
/// another instance would notice (state saved, generations published). The kernel releases it however the
/// process ends.
class SocketLock {
  public:
    /// Makes the socket's directory if need be. Errors: another process has it, no permission, the path is too long.
    [[nodiscard]] static std::expected<SocketLock, Error> take(const std::string &socket_path);

    [[nodiscard]] const std::string &socket_path() const { return socket_path_; }

  private:
    SocketLock(std::string socket_path, publish::Descriptor lock)
        : socket_path_(std::move(socket_path)), lock_(std::move(lock)) {}
    std::string socket_path_;
    publish::Descriptor lock_;
};

class Server {
  public:
    /// Serves the lock's socket; a stale one is replaced. `lock`, `controller` and `node` must outlive the server.
    /// @param group of the socket; one that does not exist is reported and the owner's group stays.
    [[nodiscard]] static std::expected<std::unique_ptr<Server>, Error>
    start(const SocketLock &lock, const std::string &group, state::Controller &controller,
          std::shared_ptr<metrics::Statistics> statistics, node::Node &node);
    ~Server(); ///< refuses new calls, lets those under way finish, removes the socket
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

  private:
    class Listening;
    explicit Server(std::unique_ptr<Listening> listening);
    std::unique_ptr<Listening> listening_;
};

} // namespace fairlead::api
