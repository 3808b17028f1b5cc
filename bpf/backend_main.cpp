// SPDX-License-Identifier: Apache-2.0
/// fairlead-backend: puts the decapsulation program on a backend's interface, shows what it did, takes
/// it off. Runs and ends; the program stays. Exit codes: 0 done, 1 refused, 2 usage.
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bpf/backend.hpp"
#include "bpf/backend_status.hpp"
#include "dataplane/wire/packet.h"

namespace {

using namespace fairlead;

constexpr int kDone = 0;
constexpr int kRefused = 1;
constexpr int kUsage = 2;

int fail(int exit_code, const std::string &line) {
    fmt::print(stderr, "fairlead-backend: {}\n", line);
    return exit_code;
}

struct Arguments {
    std::string interface;
    std::vector<std::string> balancers;
    std::vector<std::string> vips;
    std::uint16_t gue_port = wire::kGueDefaultPort;
    std::string second_chance = "on";
    std::string transmit = "auto";
    std::string mode = "auto";
    bool json = false;
};

bpf::Result<std::vector<wire::AddressKey>> parse_addresses(std::string_view option,
                                                           const std::vector<std::string> &texts) {
    std::vector<wire::AddressKey> keys;
    for (const auto &text : texts) {
        const auto key = bpf::parse_address(text);
        if (!key) return std::unexpected(fmt::format("{}: {}", option, key.error()));
        keys.push_back(*key);
    }
    return keys;
}

bpf::ModeChoice mode_choice(std::string_view name) {
    if (name == "native") return bpf::ModeChoice::kNative;
    return name == "generic" ? bpf::ModeChoice::kGeneric : bpf::ModeChoice::kAutomatic;
}

bpf::Transmit transmit_choice(std::string_view name) {
    if (name == "xdp") return bpf::Transmit::kXdp;
    return name == "kernel" ? bpf::Transmit::kKernel : bpf::Transmit::kAutomatic;
}

int attach(const Arguments &arguments) {
    const auto balancers = parse_addresses("--allow-balancer", arguments.balancers);
    if (!balancers) return fail(kUsage, balancers.error());
    const auto vips = parse_addresses("--vip", arguments.vips);
    if (!vips) return fail(kUsage, vips.error());
    const auto index = bpf::interface_index(arguments.interface);
    if (!index) return fail(kRefused, "--interface: " + index.error());
    const bpf::BackendSettings wanted{*balancers, *vips, arguments.gue_port, arguments.second_chance == "on",
                                      transmit_choice(arguments.transmit)};
    const auto result = bpf::attach_backend(*index, wanted, mode_choice(arguments.mode));
    if (!result) return fail(kRefused, arguments.interface + ": " + result.error());
    const auto status = bpf::read_backend(*index);
    if (!status) return fail(kRefused, arguments.interface + ": " + status.error());
    if (!*status) return fail(kRefused, arguments.interface + ": another process has detached the program again");

    const char *done = *result == bpf::AttachResult::kAttached  ? "attached"
                       : *result == bpf::AttachResult::kUpdated ? "settings updated"
                                                                : "replaced";
    const auto &settings = (*status)->settings;
    fmt::print("{}: {}: {} mode, program {}, balancers {}, VIPs {}, GUE port {}, second chance {}\n", arguments.interface, done,
               bpf::mode_name((*status)->mode), (*status)->program_id, settings.balancers.size(),
               settings.vips.size(), settings.gue_port, bpf::second_chance_text(settings));
    return kDone;
}

int status(const Arguments &arguments) {
    const auto index = bpf::interface_index(arguments.interface);
    if (!index) return fail(kRefused, "--interface: " + index.error());
    const auto status = bpf::read_backend(*index);
    if (!status) return fail(kRefused, arguments.interface + ": " + status.error());
    if (!*status) return fail(kRefused, arguments.interface + ": not attached; see fairlead-backend attach");
    fmt::print("{}", arguments.json ? bpf::format_json(arguments.interface, **status)
                                    : bpf::format_table(arguments.interface, **status));
    return kDone;
}

int detach(const Arguments &arguments) {
    const auto index = bpf::interface_index(arguments.interface);
    if (!index) return fail(kRefused, "--interface: " + index.error());
    const auto detached = bpf::detach_backend(*index);
    if (!detached) return fail(kRefused, arguments.interface + ": " + detached.error());
    fmt::print("{}: {}\n", arguments.interface, *detached ? "detached" : "nothing was attached");
    return kDone;
}

void add_interface(CLI::App *command, Arguments &arguments) {
    command->add_option("--interface", arguments.interface, "the interface on which the balancers' packets arrive")
        ->required();
}

} // namespace

int main(int argc, char **argv) {
    Arguments arguments;
    CLI::App app("Decapsulates what Fairlead's balancers send to this backend, or sends it on to the one that has "
                 "the connection (XDP).", "fairlead-backend");
    app.set_version_flag("--version", FAIRLEAD_VERSION);
    app.require_subcommand(1);

    auto *attach_command = app.add_subcommand("attach", "attach the program, or change its settings");
    add_interface(attach_command, arguments);
    attach_command->add_option("--allow-balancer", arguments.balancers, "source addresses of the balancers; a list")
        ->required()->delimiter(',');
    attach_command->add_option("--vip", arguments.vips, "virtual addresses that are let in; a list")
        ->required()->delimiter(',');
    attach_command->add_option("--gue-port", arguments.gue_port, "UDP port of GUE")
        ->check(CLI::Range(1, 65535))->capture_default_str();
    attach_command->add_option("--second-chance", arguments.second_chance,
                               "on: a packet with hops goes to the host that has its connection (the interface's IPv4 "
                               "forwarding is on until detach); off: hops are skipped")
        ->check(CLI::IsMember({"on", "off"}))->capture_default_str();
    attach_command->add_option("--transmit", arguments.transmit,
                               "how a packet goes on to another host: xdp (straight from the driver), kernel (forwarded, "
                               "slower), or auto: xdp, but for veth devices")
        ->check(CLI::IsMember({"auto", "xdp", "kernel"}))->capture_default_str();
    attach_command->add_option("--mode", arguments.mode, "native (in the driver), generic (any driver, slower), or auto")
        ->check(CLI::IsMember({"auto", "native", "generic"}))->capture_default_str();

    auto *status_command = app.add_subcommand("status", "show the settings and what became of each packet");
    add_interface(status_command, arguments);
    std::string output = "table";
    status_command->add_option("-o,--output", output, "table or json")
        ->check(CLI::IsMember({"table", "json"}))->capture_default_str();

    auto *detach_command = app.add_subcommand("detach", "take the program off the interface");
    add_interface(detach_command, arguments);

    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) { // --help, --version
        return app.exit(success);
    } catch (const CLI::ParseError &error) {
        return fail(kUsage, std::string(error.what()) + "; see fairlead-backend --help");
    }
    arguments.json = output == "json";
    if (*attach_command) return attach(arguments);
    return *status_command ? status(arguments) : detach(arguments);
}
