// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/render.hpp"

#include <chrono>
#include <cstdint>
#include <map>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <nlohmann/json.hpp>

#include "controlplane/cli/table.hpp"
#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::cli {

namespace {

using Json = nlohmann::ordered_json;
namespace pb = google::protobuf;

Json health_json(const config::Service &service) {
    const config::HealthCheck check = config::check_of(service);
    Json json = {{"type", config::health_type_name(*check.type)}};
    if (check.type == config::HealthType::kNone) return json;
    json["port"] = check.port;
    if (check.type == config::HealthType::kHttp) {
        json["path"] = check.path;
        json["status"] = config::format_statuses(check.status);
    }
    json["interval"] = config::format_duration_ms(check.interval_ms);
    json["timeout"] = config::format_duration_ms(check.timeout_ms);
    json["rise"] = check.rise;
    json["fall"] = check.fall;
    return json;
}

Json service_json(const config::Service &service) {
    Json backends = Json::array();
    for (const config::Backend &backend : service.backends)
        backends.push_back({{"address", config::format_ipv4(backend.address)}, {"weight", backend.weight}, {"drain", backend.drain}});
    const config::Timeouts &timeouts = service.timeouts;
    Json json = {{"name", service.name},
            {"vip", config::format_ipv4(service.vip)},
            {"port", service.port == wire::kPortAny ? Json("any") : Json(service.port)},
            {"protocol", config::protocol_name(service.protocol)},
            {"forwarding", config::forwarding_name(service.forwarding)},
            {"algorithm", tables::to_string(service.algorithm)},
            {"timeouts",
             {{"half_open", config::format_duration_s(timeouts.half_open_s)},
              {"established", config::format_duration_s(timeouts.established_s)},
              {"closing", config::format_duration_s(timeouts.closing_s)},
              {"udp", config::format_duration_s(timeouts.udp_s)}}},
            {"on_dead", config::on_dead_name(service.on_dead)},
            {"health", health_json(service)},
            {"backends", std::move(backends)}};
    if (service.second_chance) json["second_chance"] = *service.second_chance;
    return json;
}

Json to_json(const pb::Message &message);

Json scalar_json(const pb::Message &message, const pb::FieldDescriptor &field, int index) {
    const pb::Reflection &reflection = *message.GetReflection();
    const bool is_element = index >= 0;
    switch (field.cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
        return to_json(is_element ? reflection.GetRepeatedMessage(message, &field, index) : reflection.GetMessage(message, &field));
    case pb::FieldDescriptor::CPPTYPE_STRING:
        return is_element ? reflection.GetRepeatedString(message, &field, index) : reflection.GetString(message, &field);
    case pb::FieldDescriptor::CPPTYPE_BOOL: return reflection.GetBool(message, &field);
    case pb::FieldDescriptor::CPPTYPE_UINT32: return reflection.GetUInt32(message, &field);
    case pb::FieldDescriptor::CPPTYPE_UINT64: return reflection.GetUInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_INT32: return reflection.GetInt32(message, &field);
    case pb::FieldDescriptor::CPPTYPE_INT64: return reflection.GetInt64(message, &field);
    case pb::FieldDescriptor::CPPTYPE_DOUBLE: return reflection.GetDouble(message, &field);
    case pb::FieldDescriptor::CPPTYPE_FLOAT: return reflection.GetFloat(message, &field);
    case pb::FieldDescriptor::CPPTYPE_ENUM: return reflection.GetEnum(message, &field)->name();
    }
    return nullptr;
}

Json to_json(const pb::Message &message) {
    Json json = Json::object();
    const pb::Descriptor &type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
        const pb::FieldDescriptor &field = *type.field(i);
        if (!field.is_repeated()) {
            json[field.name()] = scalar_json(message, field, -1);
            continue;
        }
        Json list = Json::array();
        for (int j = 0; j < message.GetReflection()->FieldSize(message, &field); ++j) list.push_back(scalar_json(message, field, j));
        json[field.name()] = std::move(list);
    }
    return json;
}

using BackendStatus = v1::BackendListReply::BackendStatus;

/// What it does now.
std::string backend_state(const BackendStatus &backend) {
    const std::string state = backend.drain()         ? "draining"
                              : backend.weight() == 0 ? "no new flows"
                              : backend.is_kept()     ? "up"
                                                      : backend.health();
    if (!backend.is_unresolved()) return state;
    return state == "up" ? "unresolved" : state + ", unresolved";
}

/// "12s", "5m", "3h", "2d": since then.
std::string age_of(std::uint64_t since_unix_s) {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const std::uint64_t age_s = static_cast<std::uint64_t>(now) > since_unix_s ? static_cast<std::uint64_t>(now) - since_unix_s : 0;
    if (age_s < 120) return fmt::format("{}s", age_s);
    if (age_s < 2 * 3600) return fmt::format("{}m", age_s / 60);
    if (age_s < 48 * 3600) return fmt::format("{}h", age_s / 3600);
    return fmt::format("{}d", age_s / 86400);
}

/// "up", "dead for 2m: connect to port 80 timed out, 3 of 3".
std::string backend_health(const BackendStatus &backend) {
    if (!backend.is_checked()) return "unchecked";
    if (backend.reason().empty()) return backend.health();
    if (backend.health() == "up") return fmt::format("up for {}", age_of(backend.since_unix_s()));
    return fmt::format("{} for {}{}: {}", backend.health(), age_of(backend.since_unix_s()), backend.is_kept() ? ", kept" : "",
                       backend.reason());
}

std::string check_name(const config::Service &service) {
    const config::HealthCheck check = config::check_of(service);
    if (check.type == config::HealthType::kNone) return "none";
    return fmt::format("{}:{}{}", config::health_type_name(*check.type), check.port,
                       check.type == config::HealthType::kHttp ? check.path : "");
}

std::string service_health(const config::Service &service, const v1::StatusReply &status) {
    if (config::check_of(service).type == config::HealthType::kNone) return "unchecked";
    for (const auto &entry : status.services()) {
        if (entry.name() != service.name) continue;
        if (entry.backends_failing() + entry.backends_dead() == 0) return "up";
        return fmt::format("{} failing, {} dead{}", entry.backends_failing(), entry.backends_dead(),
                           entry.is_kept() ? ": all kept" : "");
    }
    return "unknown";
}

std::string dump(const Json &json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

} // namespace

void add_output_option(CLI::App &command, Output &output, const std::vector<Output> &forms) {
    static const std::map<Output, std::string> kNames = {{Output::kTable, "table"}, {Output::kJson, "json"}, {Output::kYaml, "yaml"}};
    std::string listed, named;
    for (std::size_t i = 0; i < forms.size(); ++i) {
        listed += (i == 0 ? "" : "|") + kNames.at(forms[i]);
        named += (i == 0 ? "" : i + 1 < forms.size() ? ", " : " or ") + kNames.at(forms[i]);
    }
    const auto to_number = [forms, named](std::string &word) { // an enum is read from its number
        for (const Output form : forms)
            if (CLI::detail::to_lower(word) == kNames.at(form)) {
                word = std::to_string(static_cast<int>(form));
                return std::string();
            }
        return fmt::format("{} is not a form; give {}", config::quoted(word), named);
    };
    output = forms.front();
    command.add_option("-o,--output", output, "Form of the answer: " + listed)
        ->type_name(listed)
        ->transform(CLI::Validator(to_number, ""));
}

std::string service_table(const config::Config &config, const v1::StatusReply &status) {
    Table table({"NAME", "VIP", ">PORT", "PROTOCOL", "FORWARDING", "ALGORITHM", "ON-DEAD", "CHECK", ">BACKENDS", "HEALTH"});
    for (const config::Service &service : config.services)
        table.add({service.name, config::format_ipv4(service.vip), config::port_name(service.port),
                   std::string(config::protocol_name(service.protocol)), std::string(config::forwarding_name(service.forwarding)),
                   std::string(tables::to_string(service.algorithm)), std::string(config::on_dead_name(service.on_dead)),
                   check_name(service), std::to_string(service.backends.size()), service_health(service, status)});
    return table.format();
}

std::string backend_table(const v1::BackendListReply &list) {
    Table table({"SERVICE", "ADDRESS", ">WEIGHT", "STATE", ">CONNECTIONS", "HEALTH"});
    for (const BackendStatus &backend : list.backends())
        table.add({backend.service(), backend.address(), std::to_string(backend.weight()), backend_state(backend),
                   list.is_up() ? grouped(backend.connections()) : "unknown", backend_health(backend)});
    std::string text = table.format();
    std::map<std::string, std::uint64_t> unsure;
    for (const BackendStatus &backend : list.backends()) unsure[backend.service()] = backend.unsure();
    for (const auto &[service, count] : unsure)
        if (count > 0) text += fmt::format("{}: {} of these connections were found without their beginning: any of its backends may have them\n", service, grouped(count));
    return text;
}

std::string service_list_json(const config::Config &config) {
    Json list = Json::array();
    for (const config::Service &service : config.services) list.push_back(service_json(service));
    return dump(list);
}

std::string backend_list_json(const v1::BackendListReply &reply) {
    Json list = Json::array();
    for (const BackendStatus &backend : reply.backends())
        list.push_back({{"service", backend.service()},
                        {"address", backend.address()},
                        {"weight", backend.weight()},
                        {"drain", backend.drain()},
                        {"state", backend_state(backend)},
                        {"connections", reply.is_up() ? Json(backend.connections()) : Json()},
                        {"unsure", reply.is_up() ? Json(backend.unsure()) : Json()},
                        {"health", backend.is_checked() ? Json(backend.health()) : Json()},
                        {"health_reason", backend.reason()},
                        {"health_since_unix_s", backend.since_unix_s()},
                        {"is_kept", backend.is_kept()}});
    return dump(list);
}

std::string config_json(const config::Config &config) {
    Json balancer = {{"source_address", config::format_ipv4(config.balancer.source_address)}};
    if (config.balancer.next_hop_mac) balancer["next_hop_mac"] = config::format_mac(*config.balancer.next_hop_mac);
    if (config.balancer.seed)
        balancer["seed"] = config::format_hex(config.balancer.seed->data(), config.balancer.seed->size());
    balancer["dscp"] = config.balancer.dscp;
    balancer["gue_port"] = config.balancer.gue_port;
    Json services = Json::array();
    for (const config::Service &service : config.services) services.push_back(service_json(service));
    return dump({{"balancer", std::move(balancer)}, {"services", std::move(services)}});
}

std::string message_json(const pb::Message &message) { return dump(to_json(message)); }

} // namespace fairlead::cli
