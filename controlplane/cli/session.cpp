// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/session.hpp"

#include <map>

#include <fmt/format.h>

namespace fairlead::cli {

api::Client &Session::client() {
    if (!client_) client_ = std::make_unique<api::Client>(socket_path, std::chrono::seconds(timeout_s));
    return *client_;
}

void Session::fail(const api::CallFailure &failure) {
    Error error = failure.error;
    if (error.file.empty()) error.field = argument_of(error.field);
    fail(error);
    if (failure.kind == api::CallFailure::Kind::kUnreachable) exit_code = kUnreachable;
}

void Session::fail(const Error &error) {
    fmt::print(stderr, "fairlead: {}\n", error.format());
    exit_code = kRefused;
}

v1::StatusReply Session::status() {
    auto status = client().status();
    return status ? std::move(*status) : v1::StatusReply();
}

void add_force_option(CLI::App &command, bool &is_forced, const std::string &what) { command.add_flag("--force", is_forced, what); }

void Session::report(const api::Answer<v1::ChangeReply> &answer) {
    if (!answer) {
        fail(answer.error());
        return;
    }
    if (answer->is_adopted()) fmt::print("done: generation {}\n", answer->generation());
    for (const std::string &warning : answer->warnings()) fmt::print(stderr, "fairlead: warning: {}\n", warning);
}

std::string argument_of(const std::string &field) {
    static const std::map<std::string, std::string> kArguments = {
        {"name", "NAME"},           {"service", "SERVICE"},         {"address", "ADDRESS"},
        {"vip", "--vip"},           {"port", "--port"},             {"protocol", "--protocol"},
        {"forwarding", "--forwarding"}, {"algorithm", "--algorithm"}, {"weight", "--weight"},
        {"half_open", "--half-open-timeout"}, {"established", "--established-timeout"},
        {"closing", "--closing-timeout"},     {"udp", "--udp-timeout"},
        {"second_chance", "--second-chance"}, {"on_dead", "--on-dead"},             {"health", "--health"}};
    // `services[2].health.port` is --health-port; the check's type is --health itself.
    if (const std::size_t health = field.rfind("health."); health != std::string::npos)
        return field.ends_with("health.type") ? "--health" : "--health-" + field.substr(health + 7);
    const auto argument = kArguments.find(field.substr(field.rfind('.') + 1));
    return argument == kArguments.end() ? field : argument->second;
}

} // namespace fairlead::cli
