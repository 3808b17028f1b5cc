// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/adoption.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace fairlead::io {

core::Refusal Adoption::adopt(int root_descriptor, wire::u64 number, SegmentSet &held) {
    const auto begin = std::chrono::steady_clock::now();
    tidy();
    AdoptedGeneration next;
    core::Refusal refusal = build(root_descriptor, number, held, next);
    // Before the workers know the generation: what cannot be steered must be refused, not half adopted.
    if (refusal.empty()) refusal = steer(*next.generation);
    if (!refusal.empty()) {
        core::add(counters_.generations_refused);
        steer_no_others();
        return refusal;
    }
    held.keep_only(next.generation->segment_ids());
    next.segments = held;
    store_.publish(std::move(next));

    const auto elapsed = std::chrono::steady_clock::now() - begin;
    core::set(counters_.generation, number);
    core::add(counters_.generations_adopted);
    core::set(counters_.adoption_ns_last,
              static_cast<wire::u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count()));
    core::set(counters_.segments_mapped, store_.segment_count());
    return {};
}

core::Refusal Adoption::build(int root_descriptor, wire::u64 number, const SegmentSet &held, AdoptedGeneration &out) {
    if (number <= store_.number())
        return fmt::format("generation {} does not exceed {}, which runs", number, store_.number());
    if (store_.is_full())
        return fmt::format("{} generations wait for a worker to leave them; does a worker hang?", GenerationStore::kRetiredCountMax);
    auto root = SegmentMapping::map(root_descriptor);
    if (!root) return "root: " + root.error();
    auto built = core::Generation::build(root->bytes(), held.checked());
    if (!built.generation) return built.refusal;
    if (built.generation->number() != number)
        return fmt::format("root: the message calls it generation {}, its header {}", number, built.generation->number());
    out.generation = std::move(built.generation);
    out.root = std::make_shared<const SegmentMapping>(std::move(*root));
    return {};
}

core::Refusal Adoption::steer(const core::Generation &generation) {
    for (auto &steering : steerings_)
        if (auto steered = steering.add(generation.vips()); !steered) return steered.error();
    return {};
}

void Adoption::tidy() {
    if (!store_.reclaim()) return;
    core::set(counters_.segments_mapped, store_.segment_count());
    steer_no_others();
}

void Adoption::steer_no_others() {
    const auto vips = store_.vips();
    for (auto &steering : steerings_)
        if (auto kept = steering.keep_only(vips); !kept) spdlog::warn("{}", kept.error());
}

void Adoption::count_steered() {
    bpf::SteerCounts sums{};
    for (const auto &steering : steerings_) {
        const auto counts = steering.counts();
        for (std::size_t outcome = 0; outcome < sums.size(); ++outcome) sums[outcome] += counts[outcome];
    }
    static_assert(std::tuple_size_v<bpf::SteerCounts> == std::extent_v<decltype(wire::CountersHeader::steered)>);
    for (std::size_t outcome = 0; outcome < sums.size(); ++outcome) core::set(counters_.steered[outcome], sums[outcome]);
}

} // namespace fairlead::io
