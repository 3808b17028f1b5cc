// SPDX-License-Identifier: Apache-2.0
/// The dataplane's counters under their names: one truth for /metrics, `fairlead stats` and `status`.
///
/// The dataplane counts by index. The Directory says what the indices mean; the controller swaps it
/// before it publishes a generation in which they mean something else. Indices are used again: when a
/// slot or service index gets a new tenant, Statistics notes how far the counters had come and shows
/// the new tenant only what came after.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/health/tally.hpp"
#include "controlplane/node/standing.hpp"
#include "controlplane/publish/counters_reader.hpp"

namespace fairlead::metrics {

/// What the indices of the counters mean. Names are unique; a (service, address) pair stands once.
struct Directory {
    struct Service {
        std::uint32_t index = 0;
        std::string name;
    };
    struct Backend {
        std::uint32_t slot = 0;
        std::uint16_t epoch = 0;
        std::string service; ///< name
        std::string address; ///< as text
    };
    std::vector<Service> services;
    std::vector<Backend> backends;
};

/// The backends whose health is checked, in the order of the configuration.
struct HealthDirectory {
    struct Service {
        std::string name;
        bool is_kept = false; ///< too many of its backends are failing or dead: all count as up
        std::vector<std::pair<health::BackendKey, health::Grade>> backends; ///< with the grades found
    };
    std::vector<Service> services;
};

struct HealthSample {
    struct Backend {
        std::string service;
        std::string address;
        health::Grade grade;
        health::Counts counts;
    };
    struct Service {
        std::string name;
        bool is_kept = false;
    };
    std::vector<Service> services;
    std::vector<Backend> backends;
};

struct ServiceSample {
    std::string name;
    publish::ServiceCounters counters;
};

struct BackendSample {
    std::string service;
    std::string address;
    publish::SlotCounters counters;
};

/// Everything at about one instant. When `up` is false the rest is empty, but for the health and the node.
struct Sample {
    bool up = false;
    HealthSample health;
    node::Standing node;
    std::string down_reason;
    wire::CountersHeader dataplane{};
    std::vector<wire::PortCounters> ports;              ///< in the order of --port
    std::vector<wire::WorkerCounters> workers;          ///< by worker number
    std::vector<ServiceSample> services;                ///< in the directory's order
    std::vector<BackendSample> backends;                ///< in the directory's order
    std::vector<wire::GenerationCounters> generations;  ///< over all workers, oldest first
};

/// Of each port that is away or whose link is down, what is wrong with it; in the order of --port.
[[nodiscard]] std::vector<std::string> port_troubles(const Sample &sample);

/// May be used from any thread.
class Statistics {
  public:
    explicit Statistics(std::shared_ptr<publish::CountersReader> reader);

    /// To be called before the generation that it describes is published.
    void set_directory(std::shared_ptr<const Directory> directory);

    /// What health checks have found, and who counts them.
    void set_health(std::shared_ptr<const HealthDirectory> directory, std::shared_ptr<const health::Tally> tally);

    /// How this node stands to the site's routing.
    void set_node(const node::Standing &standing);

    [[nodiscard]] Sample sample();

  private:
    template <class Counters> struct Tenancy {
        std::string tenant;
        Counters before{}; ///< what former tenants had counted when this one came
    };
    template <class Counters> using Tenancies = std::map<std::uint32_t, Tenancy<Counters>>;

    void follow_dataplane();
    [[nodiscard]] HealthSample health_sample() const;

    std::shared_ptr<publish::CountersReader> reader_;
    std::mutex mutex_;
    std::shared_ptr<const Directory> directory_; ///< never null
    bool has_directory_ = false;                 ///< the controller has given one
    std::shared_ptr<const publish::CountersMap> counters_; ///< as last read; null: never
    std::string down_reason_;                              ///< empty: counters_ is of a running dataplane
    std::shared_ptr<const HealthDirectory> health_;        ///< null: none was given
    std::shared_ptr<const health::Tally> tally_;           ///< null: none was given
    node::Standing node_;
    Tenancies<publish::ServiceCounters> services_;
    Tenancies<publish::SlotCounters> slots_;
};

} // namespace fairlead::metrics
