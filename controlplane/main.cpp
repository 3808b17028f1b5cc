// SPDX-License-Identifier: Apache-2.0
/// fairleadd: the control plane's daemon.
#include <csignal>
#include <filesystem>
#include <system_error>

#include <sys/resource.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "controlplane/api/server.hpp"
#include "controlplane/metrics/endpoint.hpp"
#include "controlplane/node/node.hpp"
#include "controlplane/node_surroundings.hpp"
#include "controlplane/service_notifier.hpp"
#include "controlplane/state/controller.hpp"

namespace {

using namespace fairlead;

struct Options {
    std::string config;
    std::string state_directory = "/var/lib/fairlead";
    std::string runtime_directory = "/run/fairlead";
    std::string metrics = "127.0.0.1:9480";
    std::string group = "fairlead";
    std::string log_level = "info";
    bool has_no_blackhole = false;
    std::string on_withdraw;
    std::string on_announce;
    unsigned command_timeout_s = 30;
};

/// As fairlead-dataplane's: systemd does not start it again after the last two.
enum ExitCode { kEnded = EX_OK, kUsage = EX_USAGE, kCannotStart = EX_CONFIG };

int fail(const Error &error) {
    fmt::print(stderr, "fairleadd: {}\n", error.format());
    return kCannotStart;
}

/// Each service's rows are a memory file, each client a socket: the soft limit of 1,024 would be felt.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

/// The signals that main() waits for; blocked before any thread begins, so that all threads block them.
sigset_t block_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGCHLD, SIG_DFL); // ignored, as whoever starts this may have it, it keeps from knowing how a command ended
    return signals;
}

void set_up_log(const std::string &level) {
    auto log = spdlog::stderr_logger_mt("fairleadd");
    log->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l: %v", spdlog::pattern_time_type::utc);
    log->set_level(spdlog::level::from_str(level));
    spdlog::set_default_logger(std::move(log));
}

/// SIGHUP: the file's configuration, whole or not at all.
void apply_file(state::Controller &controller) {
    const std::string &file = controller.config_file();
    const auto text = config::read_config_text(file);
    if (!text) {
        spdlog::error("SIGHUP: {}; nothing is changed", text.error().format());
        return;
    }
    const auto done = controller.apply(*text, file, false);
    if (!done) spdlog::error("SIGHUP: {}; nothing is changed", done.error().error.format());
    else spdlog::info("SIGHUP: {} applied, generation {}", file, done->generation);
}

/// Waits for one; where a service manager is, it is told meanwhile how things stand.
int next_signal(const sigset_t &signals, ServiceNotifier &service_notifier) {
    if (!service_notifier.is_there()) {
        int signal = 0;
        ::sigwait(&signals, &signal);
        return signal;
    }
    constexpr timespec kTimeout{.tv_sec = ServiceNotifier::kLookPeriod.count(), .tv_nsec = 0};
    while (true) {
        service_notifier.look(ServiceNotifier::Clock::now());
        if (const int signal = ::sigtimedwait(&signals, nullptr, &kTimeout); signal > 0) return signal;
    }
}

/// The option and what is wrong with it, as one line.
std::unexpected<Error> wrong(const char *option, Error error) {
    error.field = option;
    return std::unexpected(std::move(error));
}

/// What takes this node out of routing and puts it back; nothing: neither is given.
std::expected<std::optional<node::Node::Commands>, Error> node_commands(const Options &options) {
    if (options.on_withdraw.empty() && options.on_announce.empty()) return std::nullopt;
    auto withdraw = node::Command::parse(options.on_withdraw);
    if (!withdraw) return wrong("--on-withdraw", std::move(withdraw.error()));
    auto announce = node::Command::parse(options.on_announce);
    if (!announce) return wrong("--on-announce", std::move(announce.error()));
    return node::Node::Commands{std::move(*withdraw), std::move(*announce)};
}

/// Whether they can be run: known now, not in the night in which they are needed.
std::expected<void, Error> check(const std::optional<node::Node::Commands> &commands) {
    if (!commands) return {};
    if (auto ok = commands->withdraw.check(); !ok) return wrong("--on-withdraw", std::move(ok.error()));
    if (auto ok = commands->announce.check(); !ok) return wrong("--on-announce", std::move(ok.error()));
    return {};
}

int serve(const Options &options, const sigset_t &signals) {
    const auto commands = node_commands(options);
    if (!commands) {
        fmt::print(stderr, "fairleadd: {}\n", commands.error().format());
        return kUsage;
    }
    if (const auto ok = check(*commands); !ok) return fail(ok.error());
    const auto listen_address = metrics::parse_listen_address(options.metrics);
    if (!listen_address) {
        fmt::print(stderr, "fairleadd: {}\n", listen_address.error().format());
        return kUsage;
    }
    // What a second fairleadd is refused for comes first: one that cannot start leaves nothing behind.
    const auto lock = api::SocketLock::take(options.runtime_directory + "/fairleadd.sock");
    if (!lock) return fail(lock.error());
    const std::string dataplane_socket = options.runtime_directory + "/dataplane.sock";
    auto statistics = std::make_shared<metrics::Statistics>(std::make_shared<publish::CountersReader>(dataplane_socket));
    std::unique_ptr<metrics::Endpoint> endpoint;
    if (*listen_address) {
        auto opened = metrics::Endpoint::open(**listen_address, statistics);
        if (!opened) return fail(opened.error());
        endpoint = std::move(*opened);
    }
    std::error_code ignored; // an empty --config stays one, which the controller refuses
    auto controller = state::Controller::start({.state_directory = options.state_directory,
                                                .dataplane_socket = dataplane_socket,
                                                .config_file = std::filesystem::absolute(options.config, ignored),
                                                .has_vip_blackholes = !options.has_no_blackhole},
                                               statistics);
    if (!controller) return fail(controller.error());
    node::Node node(*commands, node::WithdrawnMark(options.runtime_directory + "/withdrawn"),
                    node_surroundings(**controller, statistics, dataplane_socket, std::chrono::seconds(options.command_timeout_s)));
    auto server = api::Server::start(*lock, options.group, **controller, statistics, node);
    if (!server) return fail(server.error());
    spdlog::info("fairleadd {} is up: API {}, metrics {}", FAIRLEAD_VERSION, lock->socket_path(), options.metrics);
    ServiceNotifier service_notifier(**controller);
    service_notifier.serves();
    while (true) {
        const int signal = next_signal(signals, service_notifier);
        if (signal != SIGHUP) break;
        service_notifier.reloads();
        apply_file(**controller);
        service_notifier.serves();
    }
    node.end();
    service_notifier.ends();
    spdlog::info("ending{}", (*controller)->dataplane().connected ? "; the dataplane goes on with what it has" : "");
    return kEnded; // the server goes first, then the controller, the endpoint, the lock
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"Fairlead's control plane: keeps the desired state and publishes it to fairlead-dataplane", "fairleadd"};
    Options options;
    app.set_version_flag("--version", FAIRLEAD_VERSION);
    app.add_option("--config", options.config, "Configuration (YAML) to begin with; a saved state goes before it")->required();
    app.add_option("--state-dir", options.state_directory, "Where the state is kept")->capture_default_str();
    app.add_option("--runtime-dir", options.runtime_directory, "Where the sockets are")->capture_default_str();
    app.add_option("--metrics", options.metrics, "ADDRESS:PORT on loopback, or off")->capture_default_str();
    app.add_option("--group", options.group, "Group that may use the API")->capture_default_str();
    app.add_flag("--no-blackhole", options.has_no_blackhole, "Do not blackhole the VIPs in this host's kernel");
    CLI::Option *on_withdraw = app.add_option("--on-withdraw", options.on_withdraw,
                                              "Command that takes this node out of routing, for fairlead node drain: a program's path and "
                                              "arguments, no shell");
    CLI::Option *on_announce = app.add_option("--on-announce", options.on_announce, "Command that puts it back, for fairlead node announce");
    on_withdraw->needs(on_announce);
    on_announce->needs(on_withdraw);
    app.add_option("--command-timeout", options.command_timeout_s, "Seconds that each of the two may take")
        ->check(CLI::Range(1u, 3600u))
        ->capture_default_str();
    app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) {
        return app.exit(success);
    } catch (const CLI::ParseError &error) {
        fmt::print(stderr, "fairleadd: {}\nsee: fairleadd --help\n", error.what());
        return kUsage;
    }
    const sigset_t signals = block_signals();
    raise_descriptor_limit();
    set_up_log(options.log_level);
    return serve(options, signals);
}
