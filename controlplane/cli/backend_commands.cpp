// SPDX-License-Identifier: Apache-2.0
/// fairlead backend add|set|remove|drain|list
#include <memory>

#include <fmt/format.h>

#include "controlplane/cli/arguments.hpp"
#include "controlplane/cli/drain_wait.hpp"
#include "controlplane/cli/render.hpp"
#include "controlplane/cli/session.hpp"

namespace fairlead::cli {

namespace {

struct BackendArguments {
    std::string service, address, weight;
    std::string deadline = "10m";
    bool is_undo = false;
    bool is_forced = false;
    bool has_wait = false;
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
    CLI::App *command = backend.add_subcommand("remove", "Remove a server that has no connections any more (drain first)");
    auto arguments = add_target(*command);
    add_force_option(*command, arguments->is_forced, "Remove it whatever connections it has; they go by the service's on_dead");
    command->callback([&session, arguments] {
        v1::BackendRemoveRequest request;
        request.set_service(arguments->service);
        request.set_address(arguments->address);
        request.set_force(arguments->is_forced);
        session.report(session.client().backend_remove(request));
    });
}

void add_drain_command(CLI::App &backend, Session &session) {
    CLI::App *command = backend.add_subcommand("drain", "Give a server no new flows; its connections stay");
    auto arguments = add_target(*command);
    CLI::Option *undo = command->add_flag("--undo", arguments->is_undo, "Put it back");
    CLI::Option *wait = command->add_flag("--wait", arguments->has_wait, "Return when it has no connections left")->excludes(undo);
    command->add_option("--deadline", arguments->deadline, "How long to wait at most; exit code 1 when some are left")
        ->check(is_duration())
        ->needs(wait)
        ->capture_default_str();
    command->callback([&session, arguments] {
        v1::BackendDrainRequest request;
        request.set_service(arguments->service);
        request.set_address(arguments->address);
        request.set_drain(!arguments->is_undo);
        const auto drained = session.client().backend_drain(request);
        session.report(drained);
        if (drained && arguments->has_wait)
            wait_until_empty(session, arguments->service, arguments->address, drained->generation(),
                             std::chrono::seconds(*config::parse_duration_s(arguments->deadline)));
    });
}

void list(Session &session, const std::string &service, Output output) {
    v1::BackendListRequest request;
    request.set_service(service);
    const auto reply = session.client().backend_list(request);
    if (!reply) return session.fail(reply.error());
    fmt::print("{}", (output == Output::kJson ? backend_list_json : backend_table)(*reply));
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
