// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/render.hpp"

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

std::string backend_state(const config::Service &service, const config::Backend &backend, const Unresolved &unresolved) {
    const std::string state = backend.drain ? "draining" : backend.weight == 0 ? "no new flows" : "up";
    if (!unresolved.contains({service.name, config::format_ipv4(backend.address)})) return state;
    return state == "up" ? "unresolved" : state + ", unresolved";
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

std::string service_table(const config::Config &config) {
    Table table({"NAME", "VIP", ">PORT", "PROTOCOL", "FORWARDING", "ALGORITHM", ">BACKENDS"});
    for (const config::Service &service : config.services)
        table.add({service.name, config::format_ipv4(service.vip), config::port_name(service.port),
                   std::string(config::protocol_name(service.protocol)), std::string(config::forwarding_name(service.forwarding)),
                   std::string(tables::to_string(service.algorithm)), std::to_string(service.backends.size())});
    return table.format();
}

std::string backend_table(const config::Config &config, const Unresolved &unresolved) {
    Table table({"SERVICE", "ADDRESS", ">WEIGHT", "STATE"});
    for (const config::Service &service : config.services) {
        for (const config::Backend &backend : service.backends)
            table.add({service.name, config::format_ipv4(backend.address), std::to_string(backend.weight),
                       backend_state(service, backend, unresolved)});
    }
    return table.format();
}

std::string service_list_json(const config::Config &config) {
    Json list = Json::array();
    for (const config::Service &service : config.services) list.push_back(service_json(service));
    return dump(list);
}

std::string backend_list_json(const config::Config &config, const Unresolved &unresolved) {
    Json list = Json::array();
    for (const config::Service &service : config.services)
        for (const config::Backend &backend : service.backends)
            list.push_back({{"service", service.name},
                            {"address", config::format_ipv4(backend.address)},
                            {"weight", backend.weight},
                            {"drain", backend.drain},
                            {"state", backend_state(service, backend, unresolved)}});
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
