// SPDX-License-Identifier: Apache-2.0
/// fairlead apply|get|check
#include <memory>

#include <fmt/format.h>

#include "controlplane/api/convert.hpp"
#include "controlplane/cli/render.hpp"
#include "controlplane/cli/session.hpp"

namespace fairlead::cli {

namespace {

void apply(Session &session, const std::string &file, bool is_dry_run, bool is_forced) {
    auto text = config::read_config_text(file);
    if (!text) return session.fail(text.error());
    // Here first: a wrong file is refused with or without a daemon.
    if (const auto parsed = config::parse(*text, file); !parsed) return session.fail(parsed.error());
    v1::ApplyRequest request;
    request.set_text(std::move(*text));
    request.set_file_name(config::find_not_utf8(file) ? "the file" : file); // it is for errors only
    request.set_dry_run(is_dry_run);
    request.set_force(is_forced);
    const auto answer = session.client().apply(request);
    if (answer && is_dry_run) fmt::print("{} could be applied\n", file);
    session.report(answer);
}

void get(Session &session, Output output) {
    const auto reply = session.client().get_config();
    if (!reply) return session.fail(reply.error());
    const auto config = api::from_message(reply->config());
    if (!config) return session.fail(config.error());
    switch (output) {
    case Output::kTable: {
        const auto backends = session.client().backend_list({});
        if (!backends) return session.fail(backends.error());
        fmt::print("{}\n{}", service_table(*config, session.status()), backend_table(*backends));
        break;
    }
    case Output::kJson: fmt::print("{}", config_json(*config)); break;
    case Output::kYaml: fmt::print("{}", config::format_yaml(*config)); break;
    }
}

void check(Session &session, const std::string &file) {
    const auto config = config::parse_file(file);
    if (!config) return session.fail(config.error());
    std::size_t backends = 0;
    for (const config::Service &service : config->services) backends += service.backends.size();
    fmt::print("{}: ok: {} services, {} backends\n", file, config->services.size(), backends);
}

} // namespace

void add_config_commands(CLI::App &app, Session &session) {
    auto file = std::make_shared<std::string>();
    auto is_dry_run = std::make_shared<bool>(false);
    CLI::App *apply_command = app.add_subcommand("apply", "Replace the whole configuration by a file's, or nothing");
    apply_command->add_option("-f,--file", *file, "Configuration (YAML)")->required();
    apply_command->add_flag("--dry-run", *is_dry_run, "Ask the daemon whether it would, change nothing");
    auto is_forced = std::make_shared<bool>(false);
    add_force_option(*apply_command, *is_forced, "Apply it though it removes backends that have connections");
    apply_command->callback([&session, file, is_dry_run, is_forced] { apply(session, *file, *is_dry_run, *is_forced); });

    auto output = std::make_shared<Output>();
    CLI::App *get_command = app.add_subcommand("get", "Show the configuration; as yaml it can be applied again");
    add_output_option(*get_command, *output, {Output::kTable, Output::kJson, Output::kYaml});
    get_command->callback([&session, output] { get(session, *output); });

    CLI::App *check_command = app.add_subcommand("check", "Check a configuration file; needs no daemon");
    check_command->add_option("-f,--file", *file, "Configuration (YAML)")->required();
    check_command->callback([&session, file] { check(session, *file); });
}

} // namespace fairlead::cli
