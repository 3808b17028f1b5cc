// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/handlers.hpp"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "controlplane/api/convert.hpp"
#include "controlplane/api/replies.hpp"

namespace fairlead::api {

namespace {

grpc::Status refusal(grpc::StatusCode code, const Error &error) {
    return {code, error.format(), to_message(error).SerializeAsString()};
}

grpc::Status bad_request(const Error &error) { return refusal(grpc::StatusCode::INVALID_ARGUMENT, error); }

grpc::Status finish(std::expected<state::ChangeOutcome, state::ChangeRefusal> done, v1::ChangeReply &reply) {
    if (!done)
        return done.error().kind == state::ChangeRefusal::Kind::kRequest
                   ? bad_request(done.error().error)
                   : refusal(grpc::StatusCode::FAILED_PRECONDITION, done.error().error);
    reply.set_generation(done->generation);
    reply.set_is_adopted(done->is_adopted);
    for (const std::string &warning : done->warnings) reply.add_warnings(warning);
    return grpc::Status::OK;
}

v1::NodeProgress::Phase phase_of(node::Progress::Phase phase) {
    switch (phase) {
    case node::Progress::Phase::kWithdrawing: return v1::NodeProgress::PHASE_WITHDRAWING;
    case node::Progress::Phase::kWaiting: return v1::NodeProgress::PHASE_WAITING;
    case node::Progress::Phase::kStopping: return v1::NodeProgress::PHASE_STOPPING;
    case node::Progress::Phase::kAnnouncing: return v1::NodeProgress::PHASE_ANNOUNCING;
    case node::Progress::Phase::kDone: break;
    }
    return v1::NodeProgress::PHASE_DONE;
}

/// A client at the other end of a stream. One that has gone is noticed at its next message, or by gRPC before.
node::Caller caller_of(grpc::ServerContext &context, grpc::ServerWriter<v1::NodeProgress> &writer) {
    return {.tell =
                [&writer](const node::Progress &progress) {
                    v1::NodeProgress message;
                    message.set_phase(phase_of(progress.phase));
                    message.set_text(progress.text);
                    message.set_packets_per_second(progress.packets_per_second);
                    message.set_connections(progress.connections);
                    message.set_is_at_deadline(progress.is_at_deadline);
                    (void)writer.Write(message);
                },
            .is_gone = [&context] { return context.IsCancelled(); }};
}

grpc::Status finish(const std::expected<void, Error> &done) {
    return done ? grpc::Status::OK : refusal(grpc::StatusCode::FAILED_PRECONDITION, done.error());
}

node::DrainOptions options_of(const v1::NodeDrainRequest &request) {
    node::DrainOptions options;
    if (request.quiet_for_s() != 0) options.quiet_for = std::chrono::seconds(request.quiet_for_s());
    if (request.deadline_s() != 0) options.deadline = std::chrono::seconds(request.deadline_s());
    options.keeps_running = request.keep_running();
    options.stops_at_deadline = request.stop_at_deadline();
    return options;
}

/// As `fairlead` checks them; others may not. Nothing: right.
std::optional<Error> check(const v1::NodeDrainRequest &request) {
    for (const auto &[field, seconds] : {std::pair{"quiet_for", request.quiet_for_s()}, std::pair{"deadline", request.deadline_s()}})
        if (seconds > config::kTimeoutMaxS)
            return error_in(field, fmt::format("{} s is too long", seconds), fmt::format("give at most {} s", config::kTimeoutMaxS));
    const node::DrainOptions options = options_of(request);
    if (options.keeps_running && options.stops_at_deadline)
        return error_in("keep_running", "stopping nothing and stopping at the deadline exclude each other", "give one of keep_running and stop_at_deadline");
    if (options.quiet_for > options.deadline && !options.stops_at_deadline)
        return error_in("quiet_for", fmt::format("a deadline of {} s ends before traffic can have been gone for {} s", options.deadline.count(),
                                                 options.quiet_for.count()),
                        "give a longer deadline, or a shorter quiet_for");
    return std::nullopt;
}

} // namespace

Handlers::Handlers(state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics, node::Node &node)
    : controller_(controller), statistics_(std::move(statistics)), node_(node), started_(std::chrono::steady_clock::now()) {}

grpc::Status Handlers::change(state::Controller::Mutation mutation, v1::ChangeReply &reply, bool is_forced) {
    return finish(controller_.change(std::move(mutation), {.is_forced = is_forced}), reply);
}

grpc::Status Handlers::Apply(Context *, const v1::ApplyRequest *request, v1::ChangeReply *reply) {
    return finish(controller_.apply(request->text(), request->file_name(), request->dry_run(), request->force()), *reply);
}

grpc::Status Handlers::GetConfig(Context *, const v1::GetConfigRequest *, v1::GetConfigReply *reply) {
    const auto view = controller_.view();
    *reply->mutable_config() = to_message(view->config);
    reply->set_generation(view->generation);
    return grpc::Status::OK;
}

grpc::Status Handlers::ServiceAdd(Context *, const v1::ServiceAddRequest *request, v1::ChangeReply *reply) {
    auto service = from_message(request->service());
    if (!service) return bad_request(service.error());
    return change([&](const config::Config &config) { return state::add_service(config, std::move(*service)); }, *reply);
}

grpc::Status Handlers::ServiceSet(Context *, const v1::ServiceSetRequest *request, v1::ChangeReply *reply) {
    const auto patch = from_message(*request);
    if (!patch) return bad_request(patch.error());
    return change([&](const config::Config &config) { return state::set_service(config, request->name(), *patch); }, *reply,
                  request->force());
}

grpc::Status Handlers::ServiceRemove(Context *, const v1::ServiceRemoveRequest *request, v1::ChangeReply *reply) {
    return change([&](const config::Config &config) { return state::remove_service(config, request->name()); }, *reply,
                  request->force());
}

grpc::Status Handlers::BackendAdd(Context *, const v1::BackendAddRequest *request, v1::ChangeReply *reply) {
    const auto backend = from_message(request->backend());
    if (!backend) return bad_request(backend.error());
    return change([&](const config::Config &config) { return state::add_backend(config, request->service(), *backend); },
                  *reply);
}

grpc::Status Handlers::BackendSet(Context *, const v1::BackendSetRequest *request, v1::ChangeReply *reply) {
    const auto address = address_from(request->address(), "address");
    if (!address) return bad_request(address.error());
    return change(
        [&](const config::Config &config) {
            return state::set_backend(config, request->service(), *address, request->weight());
        },
        *reply);
}

grpc::Status Handlers::BackendRemove(Context *, const v1::BackendRemoveRequest *request, v1::ChangeReply *reply) {
    const auto address = address_from(request->address(), "address");
    if (!address) return bad_request(address.error());
    return change([&](const config::Config &config) { return state::remove_backend(config, request->service(), *address); },
                  *reply, request->force());
}

grpc::Status Handlers::BackendDrain(Context *, const v1::BackendDrainRequest *request, v1::ChangeReply *reply) {
    const auto address = address_from(request->address(), "address");
    if (!address) return bad_request(address.error());
    return change(
        [&](const config::Config &config) {
            return state::drain_backend(config, request->service(), *address, request->drain());
        },
        *reply);
}

grpc::Status Handlers::BackendList(Context *, const v1::BackendListRequest *request, v1::BackendListReply *reply) {
    auto list = backend_list_reply(controller_, statistics_->sample(), *request);
    if (!list) return bad_request(list.error());
    *reply = std::move(*list);
    return grpc::Status::OK;
}

grpc::Status Handlers::StateExport(Context *, const v1::StateExportRequest *, v1::StateExportReply *reply) {
    auto text = controller_.export_state();
    if (!text) return refusal(grpc::StatusCode::FAILED_PRECONDITION, text.error());
    reply->set_text(std::move(*text));
    return grpc::Status::OK;
}

grpc::Status Handlers::StateImport(Context *, const v1::StateImportRequest *request, v1::ChangeReply *reply) {
    return finish(controller_.import_state(request->text(), request->file_name(), request->force()), *reply);
}

grpc::Status Handlers::NodeDrain(Context *context, const v1::NodeDrainRequest *request, grpc::ServerWriter<v1::NodeProgress> *writer) {
    if (const auto error = check(*request)) return bad_request(*error);
    return finish(node_.drain(options_of(*request), caller_of(*context, *writer)));
}

grpc::Status Handlers::NodeAnnounce(Context *context, const v1::NodeAnnounceRequest *, grpc::ServerWriter<v1::NodeProgress> *writer) {
    return finish(node_.announce(caller_of(*context, *writer)));
}

grpc::Status Handlers::Status(Context *, const v1::StatusRequest *, v1::StatusReply *reply) {
    *reply = status_reply(controller_, statistics_->sample());
    const auto uptime = std::chrono::steady_clock::now() - started_;
    reply->set_uptime_s(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(uptime).count()));
    return grpc::Status::OK;
}

grpc::Status Handlers::Stats(Context *, const v1::StatsRequest *, v1::StatsReply *reply) {
    *reply = stats_reply(statistics_->sample());
    return grpc::Status::OK;
}

} // namespace fairlead::api
