// SPDX-License-Identifier: Apache-2.0
/// fairlead service add|set|remove|list
#include <memory>

#include <fmt/format.h>

#include "controlplane/api/convert.hpp"
#include "controlplane/cli/arguments.hpp"
#include "controlplane/cli/render.hpp"
#include "controlplane/cli/session.hpp"

namespace fairlead::cli {

namespace {

/// What `add` and `set` take; an empty text was not given.
struct ServiceArguments {
    std::string name, vip, port, protocol, forwarding, algorithm, second_chance;
    std::string half_open, established, closing, udp;
    std::string on_dead;
    std::string health, health_port, health_path, health_status, health_interval, health_timeout, health_rise, health_fall;
    bool is_forced = false;
};

void add_health_options(CLI::App &command, ServiceArguments &arguments) {
    command.add_option("--on-dead", arguments.on_dead, "A dead backend's flows: rehash (default), reset or keep")->check(is_on_dead());
    command.add_option("--health", arguments.health, "Check: tcp (default for TCP with a port), http or none")->check(is_health_type());
    command.add_option("--health-port", arguments.health_port, "Port to check (default: the service's)")->check(is_number(1, 65535));
    command.add_option("--health-path", arguments.health_path, "http: what to get (default /)");
    command.add_option("--health-status", arguments.health_status, "http: what is good (default 200), such as 200-299,304")->check(is_statuses());
    command.add_option("--health-interval", arguments.health_interval, "Between probes (default 2s)")->check(is_health_period());
    command.add_option("--health-timeout", arguments.health_timeout, "Of a probe (default 1s)")->check(is_health_period());
    command.add_option("--health-rise", arguments.health_rise, "Good probes in a row until up (default 2)")->check(is_number(1, config::kHealthCountMax));
    command.add_option("--health-fall", arguments.health_fall, "Bad ones until not (default 3)")->check(is_number(1, config::kHealthCountMax));
}

void add_options(CLI::App &command, ServiceArguments &arguments, bool is_new) {
    command.add_option("NAME", arguments.name, "Name of the service")->required();
    command.add_option("--vip", arguments.vip, "Address that clients connect to")->check(is_ipv4())->required(is_new);
    command.add_option("--port", arguments.port, "1..65535, or any")->check(is_port())->required(is_new);
    command.add_option("--protocol", arguments.protocol, "tcp or udp")->check(is_protocol())->required(is_new);
    command.add_option("--forwarding", arguments.forwarding, "Encapsulation: gue (default) or ipip")->check(is_forwarding());
    command.add_option("--algorithm", arguments.algorithm, "Row table: rendezvous (default) or maglev")->check(is_algorithm());
    command.add_option("--second-chance", arguments.second_chance, "Ask former backends of a flow whose state is lost: on (default for TCP over GUE) or off")
        ->check(is_on_or_off());
    command.add_option("--half-open-timeout", arguments.half_open, "After a SYN (default 30s)")->check(is_duration());
    command.add_option("--established-timeout", arguments.established, "Of an idle connection (default 6h)")->check(is_duration());
    command.add_option("--closing-timeout", arguments.closing, "After FIN or RST (default 60s)")->check(is_duration());
    command.add_option("--udp-timeout", arguments.udp, "Of an idle UDP flow (default 60s)")->check(is_duration());
    add_health_options(command, arguments);
}

v1::Protocol protocol_of(const std::string &word) {
    return static_cast<v1::Protocol>(config::parse_protocol(word).value_or(0));
}

v1::Forwarding forwarding_of(const std::string &word) {
    return static_cast<v1::Forwarding>(config::parse_forwarding(word).value_or(0));
}

void set_timeouts(v1::Timeouts &timeouts, const ServiceArguments &arguments) {
    timeouts.set_half_open_s(config::parse_duration_s(arguments.half_open).value_or(0));
    timeouts.set_established_s(config::parse_duration_s(arguments.established).value_or(0));
    timeouts.set_closing_s(config::parse_duration_s(arguments.closing).value_or(0));
    timeouts.set_udp_s(config::parse_duration_s(arguments.udp).value_or(0));
}

std::uint32_t number_of(const std::string &text) { return text.empty() ? 0 : static_cast<std::uint32_t>(std::stoul(text)); }

void set_health(v1::HealthCheck &health, const ServiceArguments &arguments) {
    health.set_type(arguments.health);
    health.set_port(number_of(arguments.health_port));
    health.set_path(arguments.health_path);
    health.set_status(arguments.health_status);
    health.set_interval_ms(config::parse_duration_ms(arguments.health_interval).value_or(0));
    health.set_timeout_ms(config::parse_duration_ms(arguments.health_timeout).value_or(0));
    health.set_rise(number_of(arguments.health_rise));
    health.set_fall(number_of(arguments.health_fall));
}

void add(Session &session, const ServiceArguments &arguments) {
    v1::ServiceAddRequest request;
    v1::Service &service = *request.mutable_service();
    service.set_name(arguments.name);
    service.set_vip(arguments.vip);
    service.set_port(config::parse_port(arguments.port).value_or(0));
    service.set_protocol(protocol_of(arguments.protocol));
    if (!arguments.forwarding.empty()) service.set_forwarding(forwarding_of(arguments.forwarding));
    service.set_algorithm(arguments.algorithm);
    if (!arguments.second_chance.empty()) service.set_second_chance(arguments.second_chance == "on");
    set_timeouts(*service.mutable_timeouts(), arguments);
    service.set_on_dead(arguments.on_dead);
    set_health(*service.mutable_health(), arguments);
    session.report(session.client().service_add(request));
}

void set(Session &session, const ServiceArguments &arguments) {
    v1::ServiceSetRequest request;
    request.set_name(arguments.name);
    if (!arguments.vip.empty()) request.set_vip(arguments.vip);
    if (!arguments.port.empty()) request.set_port(config::parse_port(arguments.port).value_or(0));
    if (!arguments.protocol.empty()) request.set_protocol(protocol_of(arguments.protocol));
    if (!arguments.forwarding.empty()) request.set_forwarding(forwarding_of(arguments.forwarding));
    if (!arguments.algorithm.empty()) request.set_algorithm(arguments.algorithm);
    if (!arguments.second_chance.empty()) request.set_second_chance(arguments.second_chance == "on");
    set_timeouts(*request.mutable_timeouts(), arguments);
    request.set_on_dead(arguments.on_dead);
    set_health(*request.mutable_health(), arguments);
    request.set_force(arguments.is_forced);
    session.report(session.client().service_set(request));
}

void list(Session &session, Output output) {
    const auto reply = session.client().get_config();
    if (!reply) return session.fail(reply.error());
    const auto config = api::from_message(reply->config());
    if (!config) return session.fail(config.error());
    fmt::print("{}", output == Output::kJson ? service_list_json(*config) : service_table(*config, session.status()));
}

} // namespace

void add_service_commands(CLI::App &app, Session &session) {
    CLI::App *service = app.add_subcommand("service", "Services: virtual addresses that are balanced");
    service->require_subcommand(1);

    auto add_arguments = std::make_shared<ServiceArguments>();
    CLI::App *add_command = service->add_subcommand("add", "Add a service without backends");
    add_options(*add_command, *add_arguments, true);
    add_command->callback([&session, add_arguments] { add(session, *add_arguments); });

    auto set_arguments = std::make_shared<ServiceArguments>();
    CLI::App *set_command = service->add_subcommand("set", "Change a service; what is not given stays");
    add_options(*set_command, *set_arguments, false);
    add_force_option(*set_command, set_arguments->is_forced, "Change vip, port or protocol whatever connections there are");
    set_command->callback([&session, set_arguments] { set(session, *set_arguments); });

    auto name = std::make_shared<std::string>();
    CLI::App *remove_command = service->add_subcommand("remove", "Remove a service with its backends");
    remove_command->add_option("NAME", *name, "Name of the service")->required();
    auto is_forced = std::make_shared<bool>(false);
    add_force_option(*remove_command, *is_forced, "Remove it whatever connections it has");
    remove_command->callback([&session, name, is_forced] {
        v1::ServiceRemoveRequest request;
        request.set_name(*name);
        request.set_force(*is_forced);
        session.report(session.client().service_remove(request));
    });

    auto output = std::make_shared<Output>();
    CLI::App *list_command = service->add_subcommand("list", "List the services");
    add_output_option(*list_command, *output, {Output::kTable, Output::kJson});
    list_command->callback([&session, output] { list(session, *output); });
}

} // namespace fairlead::cli
