// SPDX-License-Identifier: Apache-2.0
/// From text to Config: shapes and types here, rules in validate().
#include <algorithm>
#include <charconv>
#include <fstream>
#include <initializer_list>

#include <sys/stat.h>

#include <fmt/format.h>

#include "controlplane/config/config.hpp"
#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::config {

namespace {

/// Reads one tree. The first error is kept; everything after it is of no account.
class Reader {
  public:
    explicit Reader(std::string_view file_name) : file_name_(file_name) {}

    [[nodiscard]] const std::optional<Error> &error() const { return error_; }

    Config read(const YamlNode &root) {
        Config config;
        if (!check_keys(root, "", {"balancer", "services"})) return config;
        if (const YamlNode *node = root.find("balancer")) config.balancer = read_balancer(*node);
        for_each(root, "", "services", kServiceCountMax, [&](const YamlNode &node, const std::string &path) {
            config.services.push_back(read_service(node, path));
        });
        return config;
    }

  private:
    void fail(int line, std::string field, std::string what, std::string mend) {
        if (error_) return;
        error_ = Error{.what = std::move(what), .file = std::string(file_name_), .line = line,
                       .field = std::move(field), .mend = std::move(mend)};
    }

    static std::string join(const std::string &path, std::string_view key) {
        return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
    }

    static std::string listed(std::initializer_list<std::string_view> words) {
        std::string text;
        for (const std::string_view word : words) text.append(text.empty() ? "" : ", ").append(word);
        return text;
    }

    bool check_keys(const YamlNode &node, const std::string &path, std::initializer_list<std::string_view> known) {
        if (node.kind == YamlNode::Kind::kScalar || node.kind == YamlNode::Kind::kSequence) {
            fail(node.line, path,
                 node.kind == YamlNode::Kind::kScalar ? quoted(node.scalar) + " is not a map" : "is a list, not a map",
                 "give keys and values: " + listed(known));
            return false;
        }
        for (const YamlNode::Entry &entry : node.entries)
            if (std::find(known.begin(), known.end(), entry.key) == known.end()) {
                fail(entry.line, join(path, cut(entry.key)),
                     "unknown key", "known here: " + listed(known));
                return false;
            }
        return true;
    }

    /// Calls `read_element(node, path)` for each element of the list `key`; a missing or empty one is an empty list.
    template <class ReadElement>
    void for_each(const YamlNode &node, const std::string &path, std::string_view key, std::size_t count_max,
                  ReadElement read_element) {
        const YamlNode *list = node.find(key);
        if (list == nullptr || list->kind == YamlNode::Kind::kNull) return;
        const std::string field = join(path, key);
        if (list->kind != YamlNode::Kind::kSequence) {
            fail(list->line, field, "is not a list", "give one \"- ...\" for each element, or []");
            return;
        }
        if (list->entries.size() > count_max) {
            fail(list->line, field, fmt::format("{} elements", list->entries.size()),
                 fmt::format("at most {} are possible", count_max));
            return;
        }
        for (std::size_t i = 0; i < list->entries.size() && !error_; ++i)
            read_element(*list->entries[i].value, fmt::format("{}[{}]", field, i));
    }

    /// Reads the value of `key`, when given, with `convert(text) -> optional`.
    template <class T, class Convert>
    void take(const YamlNode &node, const std::string &path, std::string_view key, T &value, Convert convert,
              std::string_view what, std::string_view mend) {
        const YamlNode *child = node.find(key);
        if (child == nullptr || error_) return;
        if (child->kind != YamlNode::Kind::kScalar) {
            fail(child->line, join(path, key), fmt::format("is not {}", what), std::string(mend));
            return;
        }
        if (auto converted = convert(child->scalar)) value = *converted;
        else fail(child->line, join(path, key), fmt::format("{} is not {}", quoted(child->scalar), what), std::string(mend));
    }

    void take_address(const YamlNode &node, const std::string &path, std::string_view key, wire::Be32 &value,
                      std::string_view mend) {
        const YamlNode *child = node.find(key);
        if (child == nullptr) {
            fail(node.line, join(path, key), "is missing", std::string(mend));
            return;
        }
        const bool is_v6 = child->kind == YamlNode::Kind::kScalar && child->scalar.find(':') != std::string::npos;
        take(node, path, key, value, parse_ipv4, is_v6 ? "supported: IPv4 only for now" : "an IPv4 address", mend);
        // parse_ipv4() takes 0.0.0.0, which validate() cannot tell from a missing address.
        if (!error_ && value == wire::Be32{})
            fail(child->line, join(path, key), "\"0.0.0.0\" is not the address of a host", std::string(mend));
    }

    template <class T>
    void take_number(const YamlNode &node, const std::string &path, std::string_view key, T &value,
                     std::uint32_t low, std::uint32_t high, std::string_view note = "") {
        const auto convert = [&](std::string_view text) -> std::optional<T> {
            std::uint32_t number = 0;
            const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (status != std::errc{} || end != text.data() + text.size() || number < low || number > high)
                return std::nullopt;
            return static_cast<T>(number);
        };
        take(node, path, key, value, convert, fmt::format("a number from {} to {}", low, high),
             fmt::format("give {}..{}{}", low, high, note));
    }

    Balancer read_balancer(const YamlNode &node) {
        Balancer balancer;
        if (!check_keys(node, "balancer", {"source_address", "next_hop_mac", "seed", "dscp", "gue_port"})) return balancer;
        if (node.kind == YamlNode::Kind::kMap)
            take_address(node, "balancer", "source_address", balancer.source_address,
                         "give this balancer's own IPv4 address, the outer source of encapsulated packets");
        take(node, "balancer", "next_hop_mac", balancer.next_hop_mac,
             [](std::string_view text) { return wrap(parse_mac(text)); }, "a MAC address",
             "give six bytes in hexadecimal, such as 02:00:00:00:00:fe");
        // The seed is a secret: its value is never quoted back.
        if (const YamlNode *seed = node.find("seed")) {
            Seed bytes{};
            if (seed->kind == YamlNode::Kind::kScalar && parse_hex(seed->scalar, bytes.data(), bytes.size()))
                balancer.seed = bytes;
            else fail(seed->line, "balancer.seed", "is not 128 bits in hexadecimal", "give 32 hexadecimal digits");
        }
        take_number(node, "balancer", "dscp", balancer.dscp, 0, 63);
        take_number(node, "balancer", "gue_port", balancer.gue_port, 1, 65535);
        return balancer;
    }

    static std::optional<bool> parse_yes_or_no(std::string_view text) {
        return text == "true" ? std::optional(true) : text == "false" ? std::optional(false) : std::nullopt;
    }

    template <class T>
    static std::optional<std::optional<T>> wrap(std::optional<T> value) {
        return value ? std::optional<std::optional<T>>(value) : std::nullopt;
    }

    void require(const YamlNode &node, const std::string &path, std::string_view key, std::string_view mend) {
        if (node.find(key) == nullptr) fail(node.line, join(path, key), "is missing", std::string(mend));
    }

    Service read_service(const YamlNode &node, const std::string &path) {
        Service service;
        if (!check_keys(node, path, {"name", "vip", "port", "protocol", "forwarding", "algorithm", "second_chance", "timeouts", "on_dead", "health",
                                     "backends"}))
            return service;
        require(node, path, "name", "give the service a name");
        take(node, path, "name", service.name,
             [](const std::string &text) { return std::optional<std::string>(text); }, "a name", "give the service a name");
        take_address(node, path, "vip", service.vip, "give the IPv4 address that clients connect to");
        require(node, path, "port", "give 1..65535 or any");
        take(node, path, "port", service.port, parse_port, "a port", "give 1..65535 or any");
        require(node, path, "protocol", "give tcp or udp");
        take(node, path, "protocol", service.protocol, parse_protocol, "a protocol", "give tcp or udp");
        take(node, path, "forwarding", service.forwarding, parse_forwarding, "a forwarding mode", "give gue or ipip");
        take(node, path, "algorithm", service.algorithm, tables::algorithm_from_string, "an algorithm",
             "give one of " + std::string(tables::kAlgorithmNames));
        take(node, path, "second_chance", service.second_chance,
             [](std::string_view text) { return wrap(parse_yes_or_no(text)); }, "a yes or no", "give true or false");
        if (const YamlNode *timeouts = node.find("timeouts")) service.timeouts = read_timeouts(*timeouts, path + ".timeouts");
        take(node, path, "on_dead", service.on_dead, parse_on_dead, "an on_dead", "give rehash, reset or keep");
        if (const YamlNode *health = node.find("health")) service.health = read_health(*health, path + ".health");
        for_each(node, path, "backends", kBackendCountMax, [&](const YamlNode &backend, const std::string &backend_path) {
            service.backends.push_back(read_backend(backend, backend_path));
        });
        return service;
    }

    Timeouts read_timeouts(const YamlNode &node, const std::string &path) {
        Timeouts timeouts;
        if (!check_keys(node, path, {"half_open", "established", "closing", "udp"})) return timeouts;
        const auto take_duration = [&](std::string_view key, std::uint32_t &seconds) {
            take(node, path, key, seconds, parse_duration_s, "a duration", "give a number of s, m or h, such as 30s or 6h");
        };
        take_duration("half_open", timeouts.half_open_s);
        take_duration("established", timeouts.established_s);
        take_duration("closing", timeouts.closing_s);
        take_duration("udp", timeouts.udp_s);
        return timeouts;
    }

    HealthCheck read_health(const YamlNode &node, const std::string &path) {
        HealthCheck health;
        if (!check_keys(node, path, {"type", "port", "path", "status", "interval", "timeout", "rise", "fall"})) return health;
        take(node, path, "type", health.type, [](std::string_view text) { return wrap(parse_health_type(text)); },
             "a type of check", "give tcp, http or none");
        take_number(node, path, "port", health.port, 1, 65535);
        take(node, path, "path", health.path, [](const std::string &text) { return std::optional<std::string>(text); }, "a path",
             "give one such as /healthz");
        read_status(node, path, health.status);
        const auto take_duration = [&](std::string_view key, std::uint32_t &milliseconds) {
            take(node, path, key, milliseconds, parse_duration_ms, "a duration", "give a number of ms, s, m or h, such as 500ms or 2s");
        };
        take_duration("interval", health.interval_ms);
        take_duration("timeout", health.timeout_ms);
        take_number(node, path, "rise", health.rise, 1, kHealthCountMax);
        take_number(node, path, "fall", health.fall, 1, kHealthCountMax);
        return health;
    }

    /// One status, one range, or a list of them.
    void read_status(const YamlNode &node, const std::string &path, std::vector<StatusRange> &status) {
        const YamlNode *child = node.find("status");
        if (child == nullptr || child->kind != YamlNode::Kind::kSequence) {
            take(node, path, "status", status, parse_statuses, "an HTTP status", kStatusMend);
            return;
        }
        std::string text;
        for (const YamlNode::Entry &entry : child->entries) {
            if (entry.value->kind != YamlNode::Kind::kScalar || !parse_statuses(entry.value->scalar))
                return fail(entry.line, join(path, "status"), quoted(entry.value->scalar) + " is not an HTTP status", kStatusMend);
            text += (text.empty() ? "" : ",") + entry.value->scalar;
        }
        if (auto ranges = parse_statuses(text)) status = std::move(*ranges);
        else fail(child->line, join(path, "status"), fmt::format("{} elements", child->entries.size()),
                  fmt::format("give 1..{}", kHealthStatusCountMax));
    }

    Backend read_backend(const YamlNode &node, const std::string &path) {
        Backend backend;
        if (!check_keys(node, path, {"address", "weight", "drain"})) return backend;
        take_address(node, path, "address", backend.address, "give the server's IPv4 address");
        take_number(node, path, "weight", backend.weight, 0, kWeightMax, "; 0 takes no new flows");
        take(node, path, "drain", backend.drain, parse_yes_or_no, "a yes or no", "give true or false");
        return backend;
    }

    static constexpr const char *kStatusMend = "give 100..599, a range such as 200-299, or a list of them";

    std::string_view file_name_;
    std::optional<Error> error_;
};

Error about_file(std::string_view file_name, std::string what, std::string mend) {
    return {.what = std::move(what), .file = std::string(file_name), .line = 0, .field = {}, .mend = std::move(mend)};
}

} // namespace

std::expected<Config, Error> parse(std::string_view text, std::string_view file_name) {
    if (text.size() > kConfigTextSizeMax)
        return std::unexpected(about_file(file_name, fmt::format("{} bytes are too many", text.size()),
                                          fmt::format("give at most {} MiB", kConfigTextSizeMax >> 20)));
    if (const auto at = find_not_utf8(text))
        return std::unexpected(Error{.what = fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text[*at])),
                                     .file = std::string(file_name),
                                     .line = 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(*at), '\n')),
                                     .field = {},
                                     .mend = "save the file as UTF-8"});
    auto tree = read_yaml(text, file_name);
    if (!tree) return std::unexpected(std::move(tree.error()));
    if (tree->root == nullptr || tree->root->kind == YamlNode::Kind::kNull)
        return std::unexpected(Error{.what = "the file is empty", .file = std::string(file_name), .line = 1,
                                     .field = {}, .mend = "give balancer: and services:"});
    Reader reader(file_name);
    Config config = reader.read(*tree->root);
    if (reader.error()) return std::unexpected(*reader.error());
    if (auto ok = validate(config); !ok) {
        Error error = std::move(ok.error());
        error.file = file_name;
        error.line = tree->line_of(error.field);
        return std::unexpected(std::move(error));
    }
    return config;
}

std::expected<Config, Error> parse_file(const std::string &path) {
    auto text = read_config_text(path);
    if (!text) return std::unexpected(std::move(text.error()));
    return parse(*text, path);
}

std::expected<std::string, Error> read_config_text(const std::string &path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0)
        return std::unexpected(about_file(path, fmt::format("cannot be read: {}", std::generic_category().message(errno)),
                                          "give a file that exists and may be read"));
    if (S_ISDIR(status.st_mode)) return std::unexpected(about_file(path, "is a directory", "give a file"));
    // A pipe has no size, so the limit is on what is read, not on what is promised.
    std::ifstream stream(path, std::ios::binary);
    std::string text;
    std::string chunk(1 << 16, '\0');
    while (stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || stream.gcount() > 0) {
        text.append(chunk, 0, static_cast<std::size_t>(stream.gcount()));
        if (text.size() > kConfigTextSizeMax)
            return std::unexpected(about_file(path, "is too big", fmt::format("give at most {} MiB", kConfigTextSizeMax >> 20)));
    }
    if (!stream.eof())
        return std::unexpected(about_file(path, fmt::format("cannot be read: {}", std::generic_category().message(errno)),
                                          "give a file that exists and may be read"));
    return text;
}

} // namespace fairlead::config
