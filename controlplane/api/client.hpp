// SPDX-License-Identifier: Apache-2.0
/// The API's client: one connection, calls with a deadline, answers or an error that says what to do.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include <fairlead.pb.h>

#include "controlplane/error.hpp"
#include "controlplane/publish/descriptor.hpp"

namespace fairlead::api {

/// Why a call has no answer.
struct CallFailure {
    enum class Kind {
        kRefused,     ///< the daemon understood and said no
        kUnreachable, ///< no daemon, no permission, no answer in time
        kCancelled,   ///< given up by whoever made the call
    };
    Kind kind;
    Error error;
};

template <class Reply> using Answer = std::expected<Reply, CallFailure>;

class Client {
  public:
    Client(std::string socket_path, std::chrono::milliseconds deadline);
    ~Client();
    Client(const Client &) = delete;
    Client &operator=(const Client &) = delete;

    [[nodiscard]] Answer<v1::ChangeReply> apply(const v1::ApplyRequest &request);
    [[nodiscard]] Answer<v1::GetConfigReply> get_config();
    [[nodiscard]] Answer<v1::ChangeReply> service_add(const v1::ServiceAddRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> service_set(const v1::ServiceSetRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> service_remove(const v1::ServiceRemoveRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> backend_add(const v1::BackendAddRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> backend_set(const v1::BackendSetRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> backend_remove(const v1::BackendRemoveRequest &request);
    [[nodiscard]] Answer<v1::ChangeReply> backend_drain(const v1::BackendDrainRequest &request);
    [[nodiscard]] Answer<v1::BackendListReply> backend_list(const v1::BackendListRequest &request);
    [[nodiscard]] Answer<v1::StateExportReply> state_export();
    [[nodiscard]] Answer<v1::ChangeReply> state_import(const v1::StateImportRequest &request);
    using Tell = std::function<void(const v1::NodeProgress &)>;
    /// No deadline but the drain's own. `tell` gets each word of progress; once `stop` is requested the call ends unreachable.
    [[nodiscard]] Answer<void> node_drain(const v1::NodeDrainRequest &request, const Tell &tell, std::stop_token stop);
    [[nodiscard]] Answer<void> node_announce(const Tell &tell, std::stop_token stop);
    /// Of the daemon's process: readable when that has ended. None where it is not to be seen.
    [[nodiscard]] publish::Descriptor daemon_process() const;
    [[nodiscard]] Answer<v1::StatusReply> status();
    [[nodiscard]] Answer<v1::StatsReply> stats();

  private:
    class Connection;
    std::unique_ptr<Connection> connection_;
};

} // namespace fairlead::api
