// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/distribution.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace fairlead::io {

namespace {

constexpr unsigned kHandOnRingSize = 256; // four bursts

/// AF_XDP's buffers are what its rings take, and no more.
bool can_be_spread(PortKind kind) { return kind != PortKind::kAfXdp; }

} // namespace

bool Distribution::is_spread(const Port &port, unsigned worker_count, Distribute use) {
    const auto kind = port.plan().spec.kind;
    if (worker_count < 2 || !can_be_spread(kind)) return false;
    if (use == Distribute::kAuto) return kind == PortKind::kPci && port.plan().queue_count < worker_count;
    return use == Distribute::kOn;
}

unsigned Distribution::held_buffer_count(PortKind kind, unsigned worker_count, Distribute use) {
    const bool may_be = use == Distribute::kOn || (use == Distribute::kAuto && kind == PortKind::kPci);
    return may_be && can_be_spread(kind) ? (worker_count - 1) * 2 * kHandOnRingSize : 0;
}

Result<Distribution> Distribution::make(std::span<const Port> ports, const Twins &twins, unsigned worker_count, Distribute use) {
    Distribution distribution;
    distribution.queues_.resize(worker_count);
    distribution.mtus_.resize(worker_count, ~0U);
    for (const auto &port : ports) {
        const auto index = port.plan().index;
        for (unsigned queue = 0; queue < port.plan().queue_count; ++queue) {
            const auto worker = (index + queue) % worker_count;
            PortQueue received{.port = &port.serving(), .queue = static_cast<std::uint16_t>(queue), .mac = port.mac(), .headers_at = PacketPool::headers_at(port.plan().spec.kind),
                               .waits_for_generation = port.plan().spec.kind == PortKind::kPcap, .worker = worker,
                               .twin = twins.empty() ? nullptr : twins[index].get(), .pool = port.pool(queue)};
            if (is_spread(port, worker_count, use))
                if (auto done = distribution.spread(port, received); !done) return std::unexpected(done.error());
            distribution.add(worker, port, std::move(received));
        }
    }
    return distribution;
}

/// Queues of rings for the other workers, and the way back where they have none to send by.
Result<void> Distribution::spread(const Port &port, PortQueue &received) {
    const auto worker_count = static_cast<unsigned>(queues_.size());
    const bool has_queues = port.setup().tx_queue_count == worker_count;
    if (has_queues) received.tx_queue = static_cast<std::uint16_t>(received.worker);
    received.others.resize(worker_count);
    for (unsigned worker = 0; worker < worker_count; ++worker) {
        if (worker == received.worker) continue;
        PortQueue handed = received;
        handed.worker = worker;
        handed.others.clear();
        handed.from = received.others[worker] = make_ring(port, received.queue, received.worker, worker);
        if (has_queues) handed.tx_queue = static_cast<std::uint16_t>(worker);
        else handed.back = make_ring(port, received.queue, worker, received.worker);
        if (handed.from == nullptr || (!has_queues && handed.back == nullptr))
            return std::unexpected(fmt::format("port {}: no memory for the rings between workers; raise --memory", port.plan().spec.text));
        if (handed.back != nullptr) received.returns.push_back(handed.back);
        handed.returns.clear();
        add(worker, port, std::move(handed));
    }
    spdlog::info("port {}: worker {} receives queue {} and hands flows on to {} others, which send by {}", port.plan().spec.text, received.worker,
                 received.queue, worker_count - 1, has_queues ? "queues of their own" : "the same queue");
    return {};
}

void Distribution::add(unsigned worker, const Port &port, PortQueue queue) {
    queues_[worker].push_back(std::move(queue));
    mtus_[worker] = std::min(mtus_[worker], port.plan().mtu);
}

rte_ring *Distribution::make_ring(const Port &port, unsigned queue, unsigned from, unsigned to) {
    const auto name = fmt::format("hand{}.{}-{}.{}", port.plan().index, queue, from, to);
    rings_.emplace_back(rte_ring_create(name.c_str(), kHandOnRingSize, port.plan().node, RING_F_SP_ENQ | RING_F_SC_DEQ));
    return rings_.back().get();
}

} // namespace fairlead::io
