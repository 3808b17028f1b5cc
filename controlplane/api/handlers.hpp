// SPDX-License-Identifier: Apache-2.0
/// The API's calls. Called from gRPC's threads; nothing here has state of its own.
#pragma once

#include <chrono>
#include <memory>

#include <fairlead.grpc.pb.h>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/node/node.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead::api {

class Handlers final : public v1::Fairlead::Service {
  public:
    Handlers(state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics, node::Node &node);

    using Context = grpc::ServerContext;
    grpc::Status Apply(Context *, const v1::ApplyRequest *, v1::ChangeReply *) override;
    grpc::Status GetConfig(Context *, const v1::GetConfigRequest *, v1::GetConfigReply *) override;
    grpc::Status ServiceAdd(Context *, const v1::ServiceAddRequest *, v1::ChangeReply *) override;
    grpc::Status ServiceSet(Context *, const v1::ServiceSetRequest *, v1::ChangeReply *) override;
    grpc::Status ServiceRemove(Context *, const v1::ServiceRemoveRequest *, v1::ChangeReply *) override;
    grpc::Status BackendAdd(Context *, const v1::BackendAddRequest *, v1::ChangeReply *) override;
    grpc::Status BackendSet(Context *, const v1::BackendSetRequest *, v1::ChangeReply *) override;
    grpc::Status BackendRemove(Context *, const v1::BackendRemoveRequest *, v1::ChangeReply *) override;
    grpc::Status BackendDrain(Context *, const v1::BackendDrainRequest *, v1::ChangeReply *) override;
    grpc::Status BackendList(Context *, const v1::BackendListRequest *, v1::BackendListReply *) override;
    grpc::Status StateExport(Context *, const v1::StateExportRequest *, v1::StateExportReply *) override;
    grpc::Status StateImport(Context *, const v1::StateImportRequest *, v1::ChangeReply *) override;
    grpc::Status NodeDrain(Context *, const v1::NodeDrainRequest *, grpc::ServerWriter<v1::NodeProgress> *) override;
    grpc::Status NodeAnnounce(Context *, const v1::NodeAnnounceRequest *, grpc::ServerWriter<v1::NodeProgress> *) override;
    grpc::Status Status(Context *, const v1::StatusRequest *, v1::StatusReply *) override;
    grpc::Status Stats(Context *, const v1::StatsRequest *, v1::StatsReply *) override;

  private:
    [[nodiscard]] grpc::Status change(state::Controller::Mutation mutation, v1::ChangeReply &reply, bool is_forced = false);

    state::Controller &controller_;
    std::shared_ptr<metrics::Statistics> statistics_;
    node::Node &node_;
    std::chrono::steady_clock::time_point started_;
};

} // namespace fairlead::api
