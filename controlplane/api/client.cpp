// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>

#include <fairlead.grpc.pb.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/create_channel.h>

#include "controlplane/api/convert.hpp"
#include "controlplane/config/config.hpp"
#include "controlplane/publish/process.hpp"

namespace fairlead::api {

namespace {

/// A connection of our own beside gRPC's, which would only say "unavailable"; or why nobody answers on the socket.
std::expected<publish::Descriptor, Error> connect(const std::string &path) {
    Error error{.what = {}, .file = path, .line = 0, .field = {}, .mend = {}};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        error.what = "is too long for a socket's path";
        error.mend = "give another --socket";
        return std::unexpected(std::move(error));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    publish::Descriptor connection(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(connection.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0) return connection;
    error.what = fmt::format("cannot reach fairleadd: {}", std::generic_category().message(errno));
    error.mend = errno == EACCES ? "run as root or as a member of the socket's group"
                                 : "start fairleadd, or give its socket with --socket or FAIRLEAD_SOCKET";
    return std::unexpected(std::move(error));
}

/// Whether all of a request's strings are UTF-8, without which the server could not read it.
bool is_utf8(const google::protobuf::Message &message) {
    using Field = google::protobuf::FieldDescriptor;
    std::vector<const Field *> fields;
    message.GetReflection()->ListFields(message, &fields);
    const auto is_right = [&message](const Field &field) {
        if (field.is_repeated()) return true; // no request has such strings
        if (field.cpp_type() == Field::CPPTYPE_MESSAGE) return is_utf8(message.GetReflection()->GetMessage(message, &field));
        if (field.type() != Field::TYPE_STRING) return true;
        return !config::find_not_utf8(message.GetReflection()->GetString(message, &field));
    };
    return std::ranges::all_of(fields, [&](const Field *field) { return is_right(*field); });
}

std::string name_of(grpc::StatusCode code) {
    switch (code) {
    case grpc::StatusCode::CANCELLED: return "CANCELLED";
    case grpc::StatusCode::UNKNOWN: return "UNKNOWN";
    case grpc::StatusCode::INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case grpc::StatusCode::NOT_FOUND: return "NOT_FOUND";
    case grpc::StatusCode::PERMISSION_DENIED: return "PERMISSION_DENIED";
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return "RESOURCE_EXHAUSTED";
    case grpc::StatusCode::FAILED_PRECONDITION: return "FAILED_PRECONDITION";
    case grpc::StatusCode::ABORTED: return "ABORTED";
    case grpc::StatusCode::UNIMPLEMENTED: return "UNIMPLEMENTED";
    case grpc::StatusCode::INTERNAL: return "INTERNAL";
    default: return fmt::format("code {}", static_cast<int>(code));
    }
}

} // namespace

class Client::Connection {
  public:
    Connection(std::string socket_path, std::chrono::milliseconds deadline)
        : socket_path_(std::move(socket_path)), deadline_(deadline) {}

    /// What keeps a call from being made.
    template <class Request>
    std::optional<CallFailure> prepare(const Request &request) {
        if (!is_utf8(request))
            return CallFailure{CallFailure::Kind::kRefused, error_of("an argument is not UTF-8", "look at the terminal's character set")};
        if (auto connection = connect(socket_path_); !connection)
            return CallFailure{CallFailure::Kind::kUnreachable, std::move(connection.error())};
        if (!stub_) {
            grpc::ChannelArguments arguments;
            arguments.SetMaxReceiveMessageSize(-1); // we asked for it
            stub_ = v1::Fairlead::NewStub(
                grpc::CreateCustomChannel("unix:" + socket_path_, grpc::InsecureChannelCredentials(), arguments));
        }
        return std::nullopt;
    }

    [[nodiscard]] publish::Descriptor daemon_process() const {
        const auto connection = connect(socket_path_);
        return connection ? publish::peer_process(connection->get()) : publish::Descriptor();
    }

    template <class Request, class Word>
    Answer<void> follow(std::unique_ptr<grpc::ClientReader<Word>> (v1::Fairlead::Stub::*method)(grpc::ClientContext *, const Request &),
                        const Request &request, const std::function<void(const Word &)> &tell, std::stop_token stop) {
        if (auto failure = prepare(request)) return std::unexpected(std::move(*failure));
        grpc::ClientContext context;
        const std::stop_callback cancel(std::move(stop), [&context] { context.TryCancel(); });
        const auto reader = (stub_.get()->*method)(&context, request);
        for (Word word; reader->Read(&word);) tell(word);
        const grpc::Status status = reader->Finish();
        if (status.ok()) return {};
        return std::unexpected(failure_of(status));
    }

    template <class Request, class Reply>
    Answer<Reply> call(grpc::Status (v1::Fairlead::Stub::*method)(grpc::ClientContext *, const Request &, Reply *),
                       const Request &request) {
        if (auto failure = prepare(request)) return std::unexpected(std::move(*failure));
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + deadline_);
        Reply reply;
        const grpc::Status status = (stub_.get()->*method)(&context, request, &reply);
        if (status.ok()) return reply;
        return std::unexpected(failure_of(status));
    }

  private:
    [[nodiscard]] CallFailure failure_of(const grpc::Status &status) const {
        v1::ErrorDetail detail;
        if (!status.error_details().empty() && detail.ParseFromString(status.error_details()))
            return {CallFailure::Kind::kRefused, from_message(detail)};
        const std::string reason = status.error_message().empty() ? name_of(status.error_code()) : status.error_message();
        Error error{.what = reason, .file = socket_path_, .line = 0, .field = {}, .mend = {}};
        switch (status.error_code()) {
        case grpc::StatusCode::DEADLINE_EXCEEDED:
            error.what = fmt::format("no answer within {} ms", deadline_.count());
            error.mend = "a change may still be made: see fairlead status; --timeout waits longer";
            return {CallFailure::Kind::kUnreachable, std::move(error)};
        case grpc::StatusCode::UNAVAILABLE:
            error.what = "fairleadd went away: " + reason;
            error.mend = "see whether it runs, and fairlead status";
            return {CallFailure::Kind::kUnreachable, std::move(error)};
        case grpc::StatusCode::CANCELLED: return {CallFailure::Kind::kCancelled, std::move(error)};
        default: return {CallFailure::Kind::kRefused, std::move(error)};
        }
    }

    std::string socket_path_;
    std::chrono::milliseconds deadline_;
    std::unique_ptr<v1::Fairlead::Stub> stub_;
};

Client::Client(std::string socket_path, std::chrono::milliseconds deadline)
    : connection_(std::make_unique<Connection>(std::move(socket_path), deadline)) {}
Client::~Client() = default;

using Stub = v1::Fairlead::Stub;

Answer<v1::ChangeReply> Client::apply(const v1::ApplyRequest &request) { return connection_->call(&Stub::Apply, request); }
Answer<v1::GetConfigReply> Client::get_config() { return connection_->call(&Stub::GetConfig, v1::GetConfigRequest()); }
Answer<v1::ChangeReply> Client::service_add(const v1::ServiceAddRequest &request) {
    return connection_->call(&Stub::ServiceAdd, request);
}
Answer<v1::ChangeReply> Client::service_set(const v1::ServiceSetRequest &request) {
    return connection_->call(&Stub::ServiceSet, request);
}
Answer<v1::ChangeReply> Client::service_remove(const v1::ServiceRemoveRequest &request) {
    return connection_->call(&Stub::ServiceRemove, request);
}
Answer<v1::ChangeReply> Client::backend_add(const v1::BackendAddRequest &request) {
    return connection_->call(&Stub::BackendAdd, request);
}
Answer<v1::ChangeReply> Client::backend_set(const v1::BackendSetRequest &request) {
    return connection_->call(&Stub::BackendSet, request);
}
Answer<v1::ChangeReply> Client::backend_remove(const v1::BackendRemoveRequest &request) {
    return connection_->call(&Stub::BackendRemove, request);
}
Answer<v1::ChangeReply> Client::backend_drain(const v1::BackendDrainRequest &request) {
    return connection_->call(&Stub::BackendDrain, request);
}
Answer<v1::StateExportReply> Client::state_export() {
    return connection_->call(&Stub::StateExport, v1::StateExportRequest());
}
Answer<v1::ChangeReply> Client::state_import(const v1::StateImportRequest &request) {
    return connection_->call(&Stub::StateImport, request);
}
Answer<v1::BackendListReply> Client::backend_list(const v1::BackendListRequest &request) {
    return connection_->call(&Stub::BackendList, request);
}
Answer<void> Client::node_drain(const v1::NodeDrainRequest &request, const Tell &tell, std::stop_token stop) {
    return connection_->follow(&Stub::NodeDrain, request, tell, std::move(stop));
}
Answer<void> Client::node_announce(const Tell &tell, std::stop_token stop) {
    return connection_->follow(&Stub::NodeAnnounce, v1::NodeAnnounceRequest(), tell, std::move(stop));
}
publish::Descriptor Client::daemon_process() const { return connection_->daemon_process(); }
Answer<v1::StatusReply> Client::status() { return connection_->call(&Stub::Status, v1::StatusRequest()); }
Answer<v1::StatsReply> Client::stats() { return connection_->call(&Stub::Stats, v1::StatsRequest()); }

} // namespace fairlead::api
