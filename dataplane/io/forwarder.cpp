// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/forwarder.hpp"

#include "dataplane/core/key_digest.hpp"
#include "dataplane/core/packet_path.hpp"
#include "dataplane/io/mbuf_access.hpp"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>

namespace fairlead::io {

namespace {

/// The place is known without touching the mbuf. It is no more than a guess, and need not hold.
[[gnu::always_inline]] inline void prefetch_headers(const rte_mbuf *packet, const PortQueue &queue) noexcept {
    rte_prefetch0(reinterpret_cast<const std::byte *>(packet) + queue.headers_at);
}

} // namespace

Forwarder::Forwarder(Setup setup, const GenerationStore &store)
    : setup_(std::move(setup)), store_(store),
      pipeline_({.counters = setup_.counters,
                 .connection_memory = setup_.connections.bytes(),
                 .wide_connection_memory = setup_.wide_connections.bytes(),
                 .mtu = setup_.mtu,
                 .has_kernel = false, // a port's way there is asked for with each burst
                 .counts_inherited = setup_.counts_inherited}) {}

std::uint16_t Forwarder::decide(const core::Generation *generation, std::span<rte_mbuf *> packets, const PortQueue &queue,
                                wire::u64 now_ns) noexcept {
#pragma GCC unroll 8
    for (const rte_mbuf *packet : packets) prefetch_headers(packet, queue);
    // Without a twin: an AF_XDP port's steering program has left the kernel its own already.
    pipeline_.set_kernel(queue.twin != nullptr, queue.twin != nullptr ? queue.twin->room_to_kernel(queue.worker) : 0);
    pipeline_.process(generation, packets, queue.mac, now_ns);
    if (pipeline_.not_forwarded() == 0) [[likely]] return static_cast<std::uint16_t>(packets.size());
    return settle(packets, queue);
}

/// Hands to the kernel what is its own, frees that and what is not to be sent, counted by core, and moves the rest up.
std::uint16_t Forwarder::settle(std::span<rte_mbuf *> packets, const PortQueue &queue) noexcept {
    std::uint16_t sendable = 0;
    bool gave = false;
    for (unsigned i = 0; i < packets.size(); ++i) {
        const core::Verdict verdict = pipeline_.decision(i).verdict;
        if (verdict == core::Verdict::kForward || verdict == core::Verdict::kReply) {
            packets[sendable++] = packets[i];
            continue;
        }
        if (verdict == core::Verdict::kKernel) {
            // As it came, since core/ has not changed it; and there is room, since core/ was told how much.
            queue.twin->give_kernel(queue.worker, {rte_pktmbuf_mtod(packets[i], const std::byte *), packets[i]->data_len});
            gave = true;
        }
        rte_pktmbuf_free(packets[i]);
    }
    if (gave) queue.twin->wake();
    return sendable;
}

/// Tables that were filled under another flow-hash key have each entry in a wrong line: they are emptied between bursts.
/// Their files say which key's they are: none's, while they are being emptied.
void Forwarder::follow_key(const core::Generation &generation) noexcept {
    key_number_ = generation.number();
    key_digest_ = core::key_digest(generation.hash_key());
    pipeline_.hold_unknown(generation.number() == store_.restored_number());
    if (is_forgetting_) return; // when that is done, the tables are this key's
    is_forgetting_ = std::ranges::any_of(tables(), [this](const TableHeader *table) {
        return table->key_digest != 0 && table->key_digest != key_digest_; // 0: it is empty
    });
    for (TableHeader *table : tables()) table->key_digest = is_forgetting_ ? 0 : key_digest_;
    if (is_forgetting_) pipeline_.start_forgetting();
}

void Forwarder::forget_next() noexcept {
    if (pipeline_.forget_next()) return;
    is_forgetting_ = false;
    for (TableHeader *table : tables()) table->key_digest = key_digest_;
}

} // namespace fairlead::io
