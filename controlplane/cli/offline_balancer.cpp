// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/offline_balancer.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "controlplane/state/forwarding_state.hpp"

namespace fairlead::cli {

namespace {

constexpr wire::u32 kMtu = 65535; ///< a capture has no link to be too long for
constexpr std::chrono::seconds kHopPatience{2};

/// The next 64-byte boundary in `memory`, `offset` bytes on.
std::span<std::byte> aligned(std::vector<std::byte> &memory, std::size_t offset, std::size_t size) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return std::span(memory).subspan((64 - address % 64) % 64 + offset, size);
}

} // namespace

OfflineBalancer::OfflineBalancer()
    : counters_(std::make_unique<wire::CounterBlock>()),
      table_memory_(core::connection_memory_bytes<core::CompactKey>(kConnections) +
                    core::connection_memory_bytes<core::WideKey>(kConnections) + 64),
      pipeline_({.counters = *counters_,
                 .connection_memory = aligned(table_memory_, 0, core::connection_memory_bytes<core::CompactKey>(kConnections)),
                 .wide_connection_memory = aligned(table_memory_, core::connection_memory_bytes<core::CompactKey>(kConnections),
                                                   core::connection_memory_bytes<core::WideKey>(kConnections)),
                 .mtu = kMtu,
                 .has_kernel = true}) {}

OfflineBalancer::~OfflineBalancer() = default;

std::expected<void, Error> OfflineBalancer::adopt(const config::Config &config, std::uint64_t now_s) {
    auto allocation = state::allocate(state_.allocation, config, now_s);
    if (!allocation) return std::unexpected(allocation.error());
    const state::DesiredState before = state_;
    state_.config = config;
    state_.allocation = *std::move(allocation);
    state_.seed = config.balancer.seed.value_or(config::Seed{});
    state_.histories = state::histories_after(before, state_);
    ++state_.generation;
    rows_ = row_sets_.build(rows_, state_);
    if (auto resolved = resolve_hops(); !resolved) return resolved;

    const auto hop_of = [this](wire::Be32 address) { return resolver_->find(address); };
    auto snapshot = snapshots_.build(state::forwarding_state(state_, rows_, 0, hop_of), rows_, row_sets_);
    if (!snapshot) return std::unexpected(snapshot.error());
    return take(*snapshot);
}

/// What the dataplane does with a published snapshot.
std::expected<void, Error> OfflineBalancer::take(const publish::Snapshot &snapshot) {
    std::vector<publish::SharedSegment> sources = snapshot.rows;
    sources.push_back(snapshot.hops);
    std::vector<MappedSegment> mapped;
    std::vector<core::CheckedSegment> checked(sources.size());
    for (std::size_t i = 0; i < sources.size(); ++i) {
        auto segment = MappedSegment::map(*sources[i]);
        if (!segment) return std::unexpected(segment.error());
        if (auto refusal = core::check_segment(segment->bytes(), checked[i]); !refusal.empty())
            return std::unexpected(error_of(refusal));
        mapped.push_back(*std::move(segment));
    }
    auto root = MappedSegment::map(*snapshot.root);
    if (!root) return std::unexpected(root.error());
    auto built = core::Generation::build(root->bytes(), checked);
    if (!built.generation) return std::unexpected(error_of(built.refusal));
    generation_ = std::move(built.generation);
    segments_.swap(mapped);
    return {};
}

std::expected<OfflineBalancer::MappedSegment, Error>
OfflineBalancer::MappedSegment::map(const publish::SealedSegment &segment) {
    void *memory = ::mmap(nullptr, segment.size(), PROT_READ, MAP_PRIVATE, segment.descriptor(), 0);
    if (memory == MAP_FAILED) return std::unexpected(error_of(std::string("a segment cannot be mapped: ") + std::strerror(errno)));
    return MappedSegment({static_cast<const std::byte *>(memory), segment.size()});
}

OfflineBalancer::MappedSegment::~MappedSegment() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte *>(bytes_.data()), bytes_.size());
}

std::expected<void, Error> OfflineBalancer::resolve_hops() {
    if (state_.config.balancer.next_hop_mac) return {};
    if (!resolver_) {
        auto opened = nexthop::NextHopResolver::open([] {});
        if (!opened) return std::unexpected(opened.error());
        resolver_ = *std::move(opened);
    }
    std::vector<wire::Be32> addresses;
    for (const auto &service : state_.config.services)
        for (const auto &backend : service.backends) addresses.push_back(backend.address);
    resolver_->set_targets(addresses);
    (void)resolver_->settle(kHopPatience); // what stays unresolved drops by name, as it would on a balancer
    return {};
}

void OfflineBalancer::process(std::span<core::Frame> burst, const core::MacAddress &source_mac, std::uint64_t now_ns) {
    expire_due(now_ns);
    pipeline_.process(generation_.get(), burst, source_mac, now_ns);
}

/// A balancer sweeps its table all the time, so an expired connection is gone soon; here at once, so that decisions
/// depend on the capture alone.
void OfflineBalancer::expire_due(std::uint64_t now_ns) {
    const std::uint64_t now_s = now_ns / 1'000'000'000;
    if (now_s == swept_s_) return;
    swept_s_ = now_s;
    pipeline_.expire_all(*generation_, now_ns);
}

std::string OfflineBalancer::service_name(std::uint16_t index) const {
    for (const auto &service : state_.config.services)
        if (state_.allocation.services.at(state::key_of(service)).index == index) return service.name;
    return {};
}

std::string OfflineBalancer::backend_address(std::uint16_t slot) const {
    for (const auto &service : state_.config.services)
        for (const auto &[address, lease] : state_.allocation.services.at(state::key_of(service)).slots)
            if (lease.slot == slot) return config::format_ipv4(wire::Be32::from_host(address));
    return {};
}

} // namespace fairlead::cli
