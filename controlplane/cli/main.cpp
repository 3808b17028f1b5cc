// SPDX-License-Identifier: Apache-2.0
/// fairlead: the control command line. A thin client of fairleadd's API, and offline tools.
#include <cerrno>
#include <cstdio>
#include <optional>
#include <system_error>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "controlplane/cli/replay.hpp"
#include "controlplane/cli/session.hpp"
#include "controlplane/config/yaml_tree.hpp"

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

/// A word where a subcommand belongs that is none; nothing: something else is wrong.
std::optional<std::string> unknown_command(const CLI::App &app) {
    const CLI::App *command = &app;
    while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
    const std::vector<const CLI::App *> known = command->get_subcommands([](const CLI::App *) { return true; });
    const std::vector<std::string> words = command->remaining();
    if (known.empty() || words.empty() || words.front().starts_with('-')) return std::nullopt;
    std::string names;
    for (const CLI::App *each : known) names += (names.empty() ? "" : ", ") + each->get_name();
    return fmt::format("{} is no command of {}; give one of {}", config::quoted(words.front()), command_line_of(app), names);
}

/// Not by fmt::print, which throws when nobody can be told.
int fail(const std::string &text, int exit_code) {
    std::fputs(("fairlead: " + text + "\n").c_str(), stderr);
    return exit_code;
}

/// Output that did not arrive is no success.
int finish(int exit_code) {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
    return fail(fmt::format("cannot write the answer: {}", std::generic_category().message(errno)), cli::kRefused);
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
    cli::add_node_commands(app, session);
    cli::add_config_commands(app, session);
    cli::add_state_commands(app, session);
    cli::add_status_commands(app, session);
    cli::add_replay_command(app, session.exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) {
        return finish(app.exit(success)); // --help, --version
    } catch (const CLI::ParseError &error) {
        return fail(fmt::format("{}\nsee: {} --help", unknown_command(app).value_or(error.what()), command_line_of(app)), cli::kUsage);
    } catch (const std::exception &error) {
        return fail(error.what(), cli::kRefused);
    }
    return finish(session.exit_code);
}
