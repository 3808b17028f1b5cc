// SPDX-License-Identifier: Apache-2.0
#include "bpf/backend_status.hpp"

#include <algorithm>
#include <string_view>

#include <nlohmann/json.hpp>

namespace fairlead::bpf {

namespace {

std::vector<std::string> format_addresses(const std::vector<wire::AddressKey> &keys) {
    std::vector<std::string> texts;
    texts.reserve(keys.size());
    for (const auto &key : keys) texts.push_back(format_address(key));
    return texts;
}

std::string join(const std::vector<std::string> &texts) {
    std::string joined;
    for (const auto &text : texts) joined += (joined.empty() ? "" : ", ") + text;
    return joined;
}

std::string left(std::string_view text, std::size_t width) {
    return std::string(text) + std::string(width - std::min(width, text.size()), ' ');
}

std::string right(std::string_view text, std::size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + std::string(text);
}

std::string transmit_name(Transmit transmit) {
    switch (transmit) {
    case Transmit::kXdp: return "xdp";
    case Transmit::kKernel: return "kernel";
    case Transmit::kAutomatic: break;
    }
    return "none";
}

} // namespace

std::string second_chance_text(const BackendSettings &settings) {
    return settings.second_chance ? "on (transmit by " + transmit_name(settings.transmit) + ")" : "off";
}

std::string format_table(const std::string &interface, const BackendStatus &status) {
    std::string table;
    const auto add_setting = [&table](std::string_view name, const std::string &value) {
        table += left(name, 15) + value + '\n';
    };
    add_setting("interface", interface);
    add_setting("mode", std::string(mode_name(status.mode)) + " (program " + std::to_string(status.program_id) + ")");
    add_setting("gue port", std::to_string(status.settings.gue_port));
    add_setting("second chance", second_chance_text(status.settings));
    add_setting("balancers", join(format_addresses(status.settings.balancers)));
    add_setting("vips", join(format_addresses(status.settings.vips)));

    table += '\n';
    table += left("outcome", 22) + right("packets", 21) + "  what happened\n";
    for (std::size_t outcome = 0; outcome < status.counts.size(); ++outcome) {
        const auto &reason = wire::kBackendOutcomes[outcome];
        table += left(reason.name, 22) + right(std::to_string(status.counts[outcome]), 21) + "  " + reason.text;
        if (*reason.mend != '\0') table += std::string("; look at: ") + reason.mend;
        table += '\n';
    }
    return table;
}

std::string format_json(const std::string &interface, const BackendStatus &status) {
    nlohmann::ordered_json outcomes;
    for (std::size_t outcome = 0; outcome < status.counts.size(); ++outcome) {
        const auto &reason = wire::kBackendOutcomes[outcome];
        outcomes[reason.name] = {{"packets", status.counts[outcome]}, {"text", reason.text}};
    }
    const nlohmann::ordered_json document = {{"interface", interface},
                                             {"mode", mode_name(status.mode)},
                                             {"program_id", status.program_id},
                                             {"gue_port", status.settings.gue_port},
                                             {"second_chance", status.settings.second_chance},
                                             {"transmit", transmit_name(status.settings.transmit)},
                                             {"balancers", format_addresses(status.settings.balancers)},
                                             {"vips", format_addresses(status.settings.vips)},
                                             {"outcomes", outcomes}};
    return document.dump(2) + "\n";
}

} // namespace fairlead::bpf
