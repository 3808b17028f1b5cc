// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/generations.hpp"

#include "controlplane/publish/sealed_segment.hpp"
#include "perf/mpps/offer.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace fairlead::mpps {

namespace {

constexpr tables::Seed kSeed = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
constexpr std::uint32_t kBackendNetwork = 0x0a800000; // 10.128.0.0: beside the clients
constexpr std::uint64_t kHopsId = 1;

publish::SealedSegment sealed(std::span<const std::byte> bytes) {
    auto segment = publish::SealedSegment::seal(bytes);
    if (!segment) throw std::runtime_error(segment.error().format());
    return std::move(*segment);
}

publish::ForwardingSlot slot(unsigned index, unsigned service) {
    return {.slot = static_cast<std::uint16_t>(index), .address = wire::Be32::from_host(kBackendNetwork + index),
            .epoch = static_cast<std::uint16_t>(index * 40503U), .service = static_cast<std::uint16_t>(service), .state = wire::kSlotUp,
            .mac = {2, 0, 0, static_cast<std::uint8_t>(index >> 16), static_cast<std::uint8_t>(index >> 8), static_cast<std::uint8_t>(index)},
            .resolved = true};
}

} // namespace

Generations::Generations(const Options &options, io::Adoption &adoption, const wire::CountersHeader &counters)
    : adoption_(adoption), counters_(counters) {
    state_.hops_segment_id = kHopsId;
    state_.seed = kSeed;
    state_.source_address = wire::Be32::from_host(0x0a400001);
    state_.gue_port = wire::kGueDefaultPort;
    for (unsigned service = 0; service < options.services; ++service)
        state_.services.push_back({.index = static_cast<std::uint16_t>(service), .vip = wire::Be32::from_host(FlowSpace::kVipNetwork + service), .port = 80,
                                   .protocol = wire::kIpProtocolTcp, .forwarding = options.forwarding, .rows_segment_id = 0, .half_open_timeout_s = 30,
                                   .established_timeout_s = 6 * 3600, .closing_timeout_s = 60, .udp_timeout_s = 60});
    for (unsigned backend = 0; backend < options.backends; ++backend) state_.slots.push_back(slot(backend, backend % options.services));
}

std::vector<tables::Member> Generations::members_of(unsigned service) const {
    std::vector<tables::Member> members;
    for (const auto &slot : state_.slots)
        if (slot.service == service) members.push_back({.address = tables::address_of(slot.address), .weight = 100, .slot = slot.slot});
    return members;
}

void Generations::take(std::span<const std::byte> segment, std::uint64_t id) {
    if (const auto refusal = held_.take(sealed(segment).descriptor(), id); !refusal.empty()) throw std::runtime_error(refusal);
}

std::chrono::steady_clock::time_point Generations::adopt() {
    const auto root = sealed(publish::build_root_segment(state_));
    const auto begin = std::chrono::steady_clock::now();
    if (const auto refusal = adoption_.adopt(root.descriptor(), state_.generation, held_); !refusal.empty()) throw std::runtime_error(refusal);
    return begin + std::chrono::nanoseconds(counters_.adoption_ns_last); // what the adoption does after its release store comes later
}

void Generations::publish_first() {
    next_segment_id_ = kHopsId + 1;
    for (auto &service : state_.services) {
        service.rows_segment_id = next_segment_id_++;
        if (service.index == 0) continue;
        const auto members = members_of(service.index);
        take(publish::build_rows_segment(service.rows_segment_id, tables::build(tables::Algorithm::kRendezvous, members, tables::row_count(members.size()), kSeed)),
             service.rows_segment_id);
    }
    // The first service's two tables, each with the other's owners as alternates where they may have any (TCP over GUE).
    const auto without = members_of(0);
    state_.slots.push_back(slot(static_cast<unsigned>(state_.slots.size()), 0)); // has its place and its next hop from the start
    const auto with = members_of(0);
    const std::uint32_t row_count = tables::row_count(with.size());
    const auto set = [&](const auto &members) { return tables::backend_set(tables::Algorithm::kRendezvous, row_count, members); };
    const auto history = tables::SetHistory().with(set(with)).with(set(without));
    for (const bool is_in : {false, true}) {
        const auto &members = is_in ? with : without;
        Table &table = first_service_[is_in];
        table.rows = tables::build(tables::Algorithm::kRendezvous, members, row_count, kSeed);
        if (state_.services[0].forwarding == wire::kForwardingGue)
            table.alternates = tables::RowHistory::rebuild(is_in ? history.with(set(with)) : history, row_count, kSeed).alternates(table.rows, members);
    }
    take(publish::build_hops_segment(state_), kHopsId);
    is_in_ = true; // publish_next() takes it out
    publish_next();
}

std::chrono::steady_clock::time_point Generations::publish_next() {
    is_in_ = !is_in_;
    ++state_.generation;
    state_.slots.back().state = is_in_ ? wire::kSlotUp : wire::kSlotFree;
    auto &service = state_.services[0];
    service.rows_segment_id = next_segment_id_++;
    const Table &table = first_service_[is_in_];
    take(publish::build_rows_segment(service.rows_segment_id, table.rows, table.alternates), service.rows_segment_id);
    return adopt();
}

} // namespace fairlead::mpps
