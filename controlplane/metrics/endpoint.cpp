// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/endpoint.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <prometheus/exposer.h>

#include <charconv>
#include <exception>
#include <utility>

#include "controlplane/metrics/collector.hpp"

namespace fairlead::metrics {
namespace {

bool is_loopback(const std::string &host) {
    in_addr address{};
    return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

bool is_port(std::string_view text) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    return error == std::errc{} && end == text.data() + text.size() && port <= 65535;
}

} // namespace

std::expected<std::optional<std::string>, Error> parse_listen_address(std::string_view text) {
    if (text == "off") return std::nullopt;
    const std::size_t colon = text.rfind(':');
    const std::string host(text.substr(0, colon == std::string_view::npos ? text.size() : colon));
    if (colon == std::string_view::npos || !is_port(text.substr(colon + 1)))
        return std::unexpected(error_in("--metrics", fmt::format("'{}' is no address and port", text),
                                        "give 127.0.0.1:9480 or off"));
    if (!is_loopback(host))
        return std::unexpected(error_in("--metrics", fmt::format("'{}' is not an IPv4 loopback address", host),
                                        "metrics have no authentication: listen on 127.0.0.1 and put an agent or a "
                                        "proxy in front"));
    return std::string(text);
}

Endpoint::Endpoint(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<prometheus::Collectable> dataplane)
    : dataplane_(std::move(dataplane)), exposer_(std::move(exposer)) {}

Endpoint::~Endpoint() = default;

std::expected<std::unique_ptr<Endpoint>, Error> Endpoint::open(const std::string &address,
                                                               std::shared_ptr<Statistics> statistics) {
    try {
        auto exposer = std::make_unique<prometheus::Exposer>(address);
        auto collector = std::make_shared<Collector>(std::move(statistics));
        exposer->RegisterCollectable(collector);
        return std::unique_ptr<Endpoint>(new Endpoint(std::move(exposer), std::move(collector)));
    } catch (const std::exception &) { // civetweb tells no reason
        return std::unexpected(error_in("--metrics", fmt::format("cannot listen on {}", address),
                                        "is the port in use? give another one, or off"));
    }
}

void Endpoint::add(const std::shared_ptr<prometheus::Collectable> &metrics) {
    exposer_->RegisterCollectable(metrics);
}

int Endpoint::port() const {
    const std::vector<int> ports = exposer_->GetListeningPorts();
    return ports.empty() ? 0 : ports.front();
}

} // namespace fairlead::metrics
