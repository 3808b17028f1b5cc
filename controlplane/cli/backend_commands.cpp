// SPDX-License-Identifier: Apache-2.0
/// fairlead backend add|set|remove|drain|list
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "controlplane/api/convert.hpp"
#include "controlplane/cli/arguments.hpp"
#include "controlplane/cli/render.hpp"
#include "controlplane/cli/session.hpp"

namespace fairlead::cli {

namespace {

struct BackendArguments {
    std::string service, address, weight;
    bool is_undo = false;
};

std::shared_ptr<BackendArguments> add_target(CLI::App &command) {
    auto arguments = std::make_shared<BackendArguments>();
    command.add_option("SERVICE", arguments->service, "Name of the service")->required();
    command.add_option("ADDRESS", arguments->address, "Address of the server")->check(is_ipv4())->required();
    return arguments;
}

std::uint32_t weight_of(const BackendArguments &arguments) {
    return static_cast<std::uint32_t>(std::stoul(arguments.weight));
}

void add_add_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("add", "Add a server to a service");
    auto arguments = add_target(*command);
    command->add_option("--weight", arguments->weight, "Its share of new flows, relative (default 100)")->check(is_weight());
    command->callback([&session, arguments] {
        v1::BackendAddRequest request;
        request.set_service(arguments->service);
        request.mutable_backend()->set_address(arguments->address);
        if (!arguments->weight.empty()) request.mutable_backend()->set_weight(weight_of(*arguments));
        session.report(session.client().backend_add(request));
    });
}

void add_set_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("set", "Change a server's weight");
    auto arguments = add_target(*command);
    command->add_option("--weight", arguments->weight, "Its share of new flows, relative")->check(is_weight())->required();
    command->callback([&session, arguments] {
        v1::BackendSetRequest request;
        request.set_service(arguments->service);
        request.set_address(arguments->address);
        request.set_weight(weight_of(*arguments));
        session.report(session.client().backend_set(request));
    });
}

void add_remove_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("remove", "Remove a server; its connections end (drain first)");
    auto arguments = add_target(*command);
    command->callback([&session, arguments] {
        v1::BackendRemoveRequest request;
        request.set_service(arguments->service);
        request.set_address(arguments->address);
        session.report(session.client().backend_remove(request));
    });
}

void add_drain_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("drain", "Give a server no new flows; its connections stay");
    auto arguments = add_target(*command);
    command->add_flag("--undo", arguments->is_undo, "Put it back");
    command->callback([&session, arguments] {
        v1::BackendDrainRequest request;
        request.set_service(arguments->service);
        request.set_address(arguments->address);
        request.set_drain(!arguments->is_undo);
        session.report(session.client().backend_drain(request));
    });
}

void list(Session &session, const std::string &service, Output output) {
    const auto reply = session.client().get_config();
    if (!reply) return session.fail(reply.error());
    auto config = api::from_message(reply->config());
    if (!config) return session.fail(config.error());
    if (!service.empty()) {
        std::erase_if(config->services, [&](const config::Service &candidate) { return candidate.name != service; });
        if (config->services.empty())
            return session.fail(error_in("SERVICE", fmt::format("\"{}\" does not exist", service), "see fairlead service list"));
    }
    fmt::print("{}", (output == Output::kJson ? backend_list_json : backend_table)(*config, session.unresolved()));
}

void add_list_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("list", "List the servers of a service, or of all");
    auto service = std::make_shared<std::string>();
    auto output = std::make_shared<Output>();
    command->add_option("SERVICE", *service, "Name of the service");
    add_output_option(*command, *output, {Output::kTable, Output::kJson});
    command->callback([&session, service, output] { list(session, *service, *output); });
}

} // namespace

void add_backend_commands(CLI::App &app, Session &session) {
    CLI::App *backend = app.add_subcommand("backend", "Backends: the servers of a service");
    backend->require_subcommand(1);
    add_add_command(*backend, session);
    add_set_command(*backend, session);
    add_remove_command(*backend, session);
    add_drain_command(*backend, session);
    add_list_command(*backend, session);
}

} // namespace fairlead::cli
