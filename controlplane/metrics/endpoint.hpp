// SPDX-License-Identifier: Apache-2.0
/// `/metrics` over HTTP, on a loopback address only: there is no authentication, and the numbers say
/// which services and backends exist. What scrapes from elsewhere goes through a local agent or proxy.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <prometheus/collectable.h>

#include "controlplane/error.hpp"
#include "controlplane/metrics/statistics.hpp"

namespace prometheus {
class Exposer;
}

namespace fairlead::metrics {

/// `127.0.0.1:9480`, or `off` (nothing). Port 0: a free one. IPv4 only: Debian 12's prometheus-cpp is built
/// without IPv6 listeners.
[[nodiscard]] std::expected<std::optional<std::string>, Error> parse_listen_address(std::string_view text);

class Endpoint {
  public:
    /// @param address as parse_listen_address() returned it. Errors: the address is in use.
    [[nodiscard]] static std::expected<std::unique_ptr<Endpoint>, Error> open(const std::string &address,
                                                                              std::shared_ptr<Statistics> statistics);
    ~Endpoint();
    Endpoint(const Endpoint &) = delete;
    Endpoint &operator=(const Endpoint &) = delete;

    /// Adds the control plane's own metrics; kept as long as `metrics` lives.
    void add(const std::shared_ptr<prometheus::Collectable> &metrics);

    [[nodiscard]] int port() const;

  private:
    Endpoint(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<prometheus::Collectable> dataplane);

    std::shared_ptr<prometheus::Collectable> dataplane_;
    std::unique_ptr<prometheus::Exposer> exposer_; ///< after what it collects from: it goes first
};

} // namespace fairlead::metrics
