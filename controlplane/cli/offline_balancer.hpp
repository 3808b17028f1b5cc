// SPDX-License-Identifier: Apache-2.0
/// A balancer without ports, daemons or privileges: configurations become generations as in fairleadd, and packets
/// go through the real pipeline of dataplane/core. What `replay` is made of.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"
#include "controlplane/nexthop/resolver.hpp"
#include "controlplane/state/snapshot_factory.hpp"
#include "controlplane/state/state_file.hpp"
#include "dataplane/core/pipeline.hpp"

namespace fairlead::cli {

class OfflineBalancer {
  public:
    OfflineBalancer();
    ~OfflineBalancer();

    /// Makes `config` the running generation; slots and indices keep their meaning from one to the next.
    /// @param now_s seconds on the clock of the packets.
    /// Errors: next hops that the kernel does not know (without balancer.next_hop_mac).
    [[nodiscard]] std::expected<void, Error> adopt(const config::Config &config, std::uint64_t now_s);

    /// Decides one burst; see core::Pipeline::process().
    void process(std::span<core::Frame> burst, const core::MacAddress &source_mac, std::uint64_t now_ns);
    [[nodiscard]] core::Decision decision(unsigned i) const { return pipeline_.decision(i); }

    void forget() { pipeline_.forget(); }

    /// Names for a decision of the last burst; empty: none.
    [[nodiscard]] std::string service_name(std::uint16_t index) const;
    [[nodiscard]] std::string backend_address(std::uint16_t slot) const;

  private:
    /// A sealed segment, mapped read-only as the dataplane does it.
    class MappedSegment {
      public:
        [[nodiscard]] static std::expected<MappedSegment, Error> map(const publish::SealedSegment &segment);
        MappedSegment(MappedSegment &&other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
        MappedSegment &operator=(MappedSegment &&) = delete;
        ~MappedSegment();
        [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

      private:
        explicit MappedSegment(std::span<const std::byte> bytes) : bytes_(bytes) {}
        std::span<const std::byte> bytes_;
    };

    [[nodiscard]] std::expected<void, Error> resolve_hops();
    [[nodiscard]] std::expected<void, Error> take(const publish::Snapshot &snapshot);
    void expire_due(std::uint64_t now_ns);

    static constexpr std::size_t kConnections = 1 << 18;

    state::DesiredState state_;
    state::RowSets row_sets_;
    state::SnapshotFactory snapshots_;
    state::RowSet rows_;
    std::unique_ptr<nexthop::NextHopResolver> resolver_; ///< only without next_hop_mac
    std::vector<MappedSegment> segments_;                ///< what generation_ borrows
    std::unique_ptr<const core::Generation> generation_;

    std::unique_ptr<wire::CounterBlock> counters_;
    std::vector<std::byte> table_memory_;
    core::Pipeline pipeline_;
    std::uint64_t swept_s_ = 0;
};

} // namespace fairlead::cli
