// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/server.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include "controlplane/api/handlers.hpp"

namespace fairlead::api {

namespace {

constexpr int kMessageSizeMax = static_cast<int>(state::kStateTextSizeMax) + (64 << 10);
constexpr std::size_t kMemoryMax = 256u << 20;
constexpr int kThreadsMax = 32;
constexpr int kConnectionIdleMs = 60'000;

Error about(const std::string &path, std::string_view what, std::string mend) {
    return {.what = fmt::format("{}: {}", what, std::generic_category().message(errno)), .file = path, .line = 0,
            .field = {}, .mend = std::move(mend)};
}

std::expected<publish::Descriptor, Error> lock_socket(const std::string &socket_path) {
    const std::string path = socket_path + ".lock";
    publish::Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return std::unexpected(about(path, "cannot open the lock file", "give a --runtime-dir that is writable"));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        return std::unexpected(about(path, "another fairleadd serves this socket", "stop it or give another --runtime-dir"));
    return lock;
}

std::expected<void, Error> make_directory(const std::string &socket_path) {
    const std::filesystem::path directory = std::filesystem::path(socket_path).parent_path();
    std::error_code failure;
    std::filesystem::create_directories(directory, failure);
    if (!failure) return {};
    errno = failure.value();
    return std::unexpected(about(directory, "cannot make the runtime directory", "give a --runtime-dir that is writable"));
}

void set_group(const std::string &socket_path, const std::string &group) {
    std::vector<char> buffer(1 << 16);
    struct group entry {};
    struct group *found = nullptr;
    ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) spdlog::info("no group \"{}\": only this user may use {}", group, socket_path);
    else if (::chown(socket_path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0)
        spdlog::warn("{}: cannot be given to group {}: {}", socket_path, group, std::generic_category().message(errno));
}

/// For as long as it lives, new files are for their owner and group only.
class GroupOnlyUmask {
  public:
    GroupOnlyUmask() : before_(::umask(0117)) {}
    ~GroupOnlyUmask() { ::umask(before_); }
    GroupOnlyUmask(const GroupOnlyUmask &) = delete;
    GroupOnlyUmask &operator=(const GroupOnlyUmask &) = delete;

  private:
    mode_t before_;
};

} // namespace

class Server::Listening {
  public:
    Listening(std::string socket_path, state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics, node::Node &node)
        : socket_path_(std::move(socket_path)), handlers_(controller, std::move(statistics), node) {}

    ~Listening() {
        if (!server_) return;
        server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
        server_->Wait();
        ::unlink(socket_path_.c_str());
    }

    bool listen() {
        grpc::ResourceQuota quota("fairleadd");
        quota.Resize(kMemoryMax).SetMaxThreads(kThreadsMax);
        grpc::ServerBuilder builder;
        builder.SetResourceQuota(quota);
        builder.SetMaxReceiveMessageSize(kMessageSizeMax);
        builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kConnectionIdleMs);
        builder.AddListeningPort("unix:" + socket_path_, grpc::InsecureServerCredentials());
        builder.RegisterService(&handlers_);
        const GroupOnlyUmask umask;
        ::unlink(socket_path_.c_str()); // the lock is ours, so whoever left it is gone
        server_ = builder.BuildAndStart();
        return server_ != nullptr;
    }

  private:
    std::string socket_path_;
    Handlers handlers_;
    std::unique_ptr<grpc::Server> server_;
};

std::expected<SocketLock, Error> SocketLock::take(const std::string &socket_path) {
    if (socket_path.size() >= sizeof(sockaddr_un::sun_path))
        return std::unexpected(Error{.what = fmt::format("{} bytes are too many for a socket's path", socket_path.size()),
                                     .file = socket_path, .line = 0, .field = {},
                                     .mend = fmt::format("give a --runtime-dir with a path of at most {} bytes in all",
                                                         sizeof(sockaddr_un::sun_path) - 1)});
    if (auto ok = make_directory(socket_path); !ok) return std::unexpected(std::move(ok.error()));
    auto lock = lock_socket(socket_path);
    if (!lock) return std::unexpected(std::move(lock.error()));
    return SocketLock(socket_path, std::move(*lock));
}

Server::Server(std::unique_ptr<Listening> listening) : listening_(std::move(listening)) {}
Server::~Server() = default;

std::expected<std::unique_ptr<Server>, Error> Server::start(const SocketLock &lock, const std::string &group,
                                                            state::Controller &controller,
                                                            std::shared_ptr<metrics::Statistics> statistics, node::Node &node) {
    const std::string &path = lock.socket_path();
    auto listening = std::make_unique<Listening>(path, controller, std::move(statistics), node);
    if (!listening->listen())
        return std::unexpected(Error{.what = "cannot listen on this socket", .file = path, .line = 0, .field = {},
                                     .mend = "give a --runtime-dir that is writable and on a file system with sockets"});
    set_group(path, group);
    return std::unique_ptr<Server>(new Server(std::move(listening)));
}

} // namespace fairlead::api
