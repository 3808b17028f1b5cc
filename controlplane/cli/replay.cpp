// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/replay.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "controlplane/cli/capture.hpp"
#include "controlplane/cli/offline_balancer.hpp"
#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::cli {

namespace {

struct ReplayOptions {
    std::string config, in, out, decisions;
    std::vector<std::pair<std::string, std::string>> at;
    std::vector<std::string> forget;
};

std::uint64_t packet_number(const std::string &option, const std::string &text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
        throw CLI::ValidationError(option, fmt::format("{} is not the number of a packet; count from 0", config::quoted(text)));
    return number;
}

/// Devices and pipes may well be named twice.
bool is_same_file(const std::string &one, const std::string &other) {
    namespace fs = std::filesystem;
    std::error_code failure;
    if (fs::exists(one, failure) && !fs::is_regular_file(one, failure)) return false;
    if (fs::equivalent(one, other, failure)) return true;
    return fs::weakly_canonical(one, failure) == fs::weakly_canonical(other, failure);
}

/// What is written must not be what is read, nor be written twice.
void check_paths(const ReplayOptions &options) {
    std::vector<std::pair<std::string, std::string>> others{{"--config", options.config}, {"--in", options.in}};
    for (const auto &[packet, path] : options.at) others.emplace_back("--at", path);
    for (const auto &[option, path] : {std::pair{"--out", &options.out}, std::pair{"--decisions", &options.decisions}}) {
        for (const auto &[other, other_path] : others)
            if (is_same_file(*path, other_path))
                throw CLI::ValidationError(option, fmt::format("{} is the file of {} too; name another", *path, other));
        others.emplace_back(option, *path);
    }
}

const char *name_of(core::Verdict verdict) {
    switch (verdict) {
    case core::Verdict::kForward: return "forward";
    case core::Verdict::kReply: return "reply";
    case core::Verdict::kDrop: return "drop";
    case core::Verdict::kKernel: return "kernel";
    }
    return nullptr;
}

const char *name_of(core::Source source) {
    switch (source) {
    case core::Source::kNone: return nullptr;
    case core::Source::kConnection: return "connection";
    case core::Source::kRow: return "row";
    case core::Source::kHops: return "row+hops";
    }
    return nullptr;
}

nlohmann::ordered_json text_or_null(const std::string &text) {
    return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

/// One run of the command, packet by packet: bursts would change nothing but the order of memory accesses.
class Replay {
  public:
    explicit Replay(const ReplayOptions &options);
    [[nodiscard]] std::expected<void, Error> run();

  private:
    [[nodiscard]] std::expected<void, Error> load_configs();
    [[nodiscard]] std::expected<void, Error> change_before(std::uint64_t packet);
    void warn_beyond(std::uint64_t packets) const;
    void decide(std::uint64_t packet, const CapturedPacket &captured, CaptureWriter &writer, std::ostream &decisions);

    static constexpr std::size_t kHeadroom = 128;
    const ReplayOptions &options_;
    std::map<std::uint64_t, std::string> at_; ///< files, by the packet before which they are adopted
    std::map<std::uint64_t, config::Config> configs_; ///< by the packet before which they are adopted
    std::set<std::uint64_t> forget_;
    OfflineBalancer balancer_;
    std::vector<std::uint8_t> buffer_;
    std::uint64_t now_ns_ = 0; ///< the latest timestamp: time never runs backwards
};

/// Throws CLI::ValidationError: what is wrong with the options is wrong before anything is opened.
Replay::Replay(const ReplayOptions &options) : options_(options) {
    check_paths(options);
    for (const auto &[packet, path] : options.at)
        if (!at_.emplace(packet_number("--at", packet), path).second)
            throw CLI::ValidationError("--at", fmt::format("packet {} is named twice", packet));
    for (const std::string &packet : options.forget)
        if (!forget_.insert(packet_number("--forget", packet)).second)
            throw CLI::ValidationError("--forget", fmt::format("packet {} is named twice", packet));
}

std::expected<void, Error> Replay::load_configs() {
    auto first = config::parse_file(options_.config);
    if (!first) return std::unexpected(first.error());
    configs_.emplace(0, *std::move(first));
    for (const auto &[packet, path] : at_) {
        auto config = config::parse_file(path);
        if (!config) return std::unexpected(config.error());
        configs_.insert_or_assign(packet, *std::move(config));
    }
    for (const auto &[packet, config] : configs_)
        if (!config.balancer.seed) {
            fmt::print(stderr, "fairlead: replay: balancer.seed is missing: rows are those of an all-zero seed, not a node's\n");
            break;
        }
    return {};
}

std::expected<void, Error> Replay::change_before(std::uint64_t packet) {
    if (auto config = configs_.find(packet); config != configs_.end())
        if (auto adopted = balancer_.adopt(config->second, now_ns_ / 1'000'000'000); !adopted) return adopted;
    if (forget_.contains(packet)) balancer_.forget();
    return {};
}

std::expected<void, Error> Replay::run() {
    if (auto loaded = load_configs(); !loaded) return loaded;
    auto reader = CaptureReader::open(options_.in);
    if (!reader) return std::unexpected(reader.error());
    const Error cannot_write{.what = "cannot be written", .file = options_.decisions, .line = 0, .field = {}, .mend = "name a file that can be written"};
    std::ofstream decisions(options_.decisions);
    if (!decisions) return std::unexpected(cannot_write);
    auto writer = CaptureWriter::create(options_.out);
    if (!writer) return std::unexpected(writer.error());

    std::uint64_t packet = 0;
    for (;; ++packet) {
        auto captured = reader->next();
        if (!captured) return std::unexpected(captured.error());
        if (!*captured) break;
        now_ns_ = std::max(now_ns_, (*captured)->time_ns);
        if (auto changed = change_before(packet); !changed) return changed;
        decide(packet, **captured, *writer, decisions);
    }
    decisions.close();
    if (!decisions) return std::unexpected(cannot_write);
    warn_beyond(packet);
    return writer->finish();
}

void Replay::warn_beyond(std::uint64_t packets) const {
    const auto warn = [packets](const char *option, std::uint64_t packet) {
        if (packet >= packets)
            fmt::print(stderr, "fairlead: replay: {} {} did nothing: the capture has {} packets\n", option, packet, packets);
    };
    for (const auto &[packet, path] : at_) warn("--at", packet);
    for (const std::uint64_t packet : forget_) warn("--forget", packet);
}

void Replay::decide(std::uint64_t packet, const CapturedPacket &captured, CaptureWriter &writer, std::ostream &decisions) {
    buffer_.assign(kHeadroom, 0);
    buffer_.insert(buffer_.end(), captured.bytes.begin(), captured.bytes.end());
    core::Frame frame{buffer_.data() + kHeadroom, static_cast<wire::u32>(captured.bytes.size()), kHeadroom};
    core::MacAddress port_mac{}; // the port's address is the one the frame was sent to
    std::copy_n(captured.bytes.begin(), std::min(captured.bytes.size(), port_mac.size()), port_mac.begin());
    balancer_.process({&frame, 1}, port_mac, now_ns_);

    const core::Decision decision = balancer_.decision(0);
    const bool leaves = decision.verdict == core::Verdict::kForward || decision.verdict == core::Verdict::kReply;
    if (leaves) writer.write(captured.time_ns, {frame.data, frame.length});
    nlohmann::ordered_json line;
    line["packet"] = packet;
    line["verdict"] = name_of(decision.verdict);
    line["reason"] = nullptr;
    if (decision.verdict == core::Verdict::kDrop) line["reason"] = wire::kDropReasons[static_cast<std::size_t>(decision.reason)].name;
    line["service"] = text_or_null(balancer_.service_name(decision.service));
    line["backend"] = text_or_null(balancer_.backend_address(decision.slot));
    const char *source = name_of(decision.source);
    line["source"] = text_or_null(source ? source : "");
    line["length_out"] = leaves ? frame.length : 0;
    decisions << line.dump() << '\n';
}

} // namespace

void add_replay_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<ReplayOptions>();
    CLI::App *command = app.add_subcommand("replay", "Send a capture through the packet path, offline");
    command->add_option("--config", options->config, "Configuration (YAML); with balancer.next_hop_mac it needs no network")->required();
    command->add_option("--in", options->in, "Capture of what arrives (pcap or pcapng, Ethernet)")->required();
    command->add_option("--out", options->out, "Capture to write: what would leave, in order")->required();
    command->add_option("--decisions", options->decisions, "File to write: one JSON object a packet, in order")->required();
    command->add_option("--at", options->at, "Adopt configuration FILE before packet N (from 0); repeatable")
        ->type_name("N FILE")
        ->take_all();
    command->add_option("--forget", options->forget, "Drop all connections before packet N; repeatable")->type_name("N")->take_all();
    command->callback([options, &exit_code] {
        Replay replay(*options);
        auto done = replay.run();
        if (!done) fmt::print(stderr, "fairlead: replay: {}\n", done.error().format());
        exit_code = done ? 0 : 1;
    });
}

} // namespace fairlead::cli
