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
#include "controlplane/state/controller.hpp"

namespace fairlead::api {

struct ServerOptions {
    std::string socket_path;
    std::string group; ///< of the socket; one that does not exist is reported and the owner's group stays
};

class Server {
  public:
    /// Replaces a stale socket. A live second instance is kept off by a lock beside the socket.
    /// `controller` must outlive the server.
    [[nodiscard]] static std::expected<std::unique_ptr<Server>, Error>
    start(const ServerOptions &options, state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics);
    ~Server(); ///< refuses new calls, lets those under way finish, removes the socket
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

  private:
    class Listening;
    explicit Server(std::unique_ptr<Listening> listening);
    std::unique_ptr<Listening> listening_;
};

} // namespace fairlead::api
