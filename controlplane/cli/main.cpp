// SPDX-License-Identifier: Apache-2.0
/// fairlead: the control command line. A thin client of fairleadd's API, and offline tools.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "controlplane/cli/replay.hpp"
#include "controlplane/cli/session.hpp"

namespace {

using namespace fairlead;

/// The command that was being parsed, for the hint at its help.
std::string command_line_of(const CLI::App &app) {
    std::string text = app.get_name();
    for (const CLI::App *command = &app; !command->get_subcommands().empty();) {
        command = command->get_subcommands().front();
        text += " " + command->get_name();
    }
    return text;
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"Fairlead, an L4 load balancer: services, backends and what becomes of their traffic", "fairlead"};
    app.set_version_flag("--version", FAIRLEAD_VERSION);
    app.require_subcommand(1);
    app.footer("Exit codes: 0 done, 1 refused, 2 usage, 3 daemon unreachable");
    cli::Session session;
    app.add_option("--socket", session.socket_path, "fairleadd's API socket")->envname("FAIRLEAD_SOCKET")->capture_default_str();
    app.add_option("--timeout", session.timeout_s, "Seconds to wait for an answer")->check(CLI::Range(1u, 3600u))->capture_default_str();
    cli::add_service_commands(app, session);
    cli::add_backend_commands(app, session);
    cli::add_config_commands(app, session);
    cli::add_status_commands(app, session);
    cli::add_replay_command(app, session.exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) {
        return app.exit(success); // --help, --version
    } catch (const CLI::ParseError &error) {
        fmt::print(stderr, "fairlead: {}\nsee: {} --help\n", error.what(), command_line_of(app));
        return cli::kUsage;
    } catch (const std::exception &error) {
        fmt::print(stderr, "fairlead: {}\n", error.what());
        return cli::kRefused;
    }
    return session.exit_code;
}
