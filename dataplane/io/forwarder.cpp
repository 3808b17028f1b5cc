// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/forwarder.hpp"

#include "dataplane/core/key_digest.hpp"

#include <rte_prefetch.h>

#include <algorithm>

namespace fairlead::io {

Forwarder::Forwarder(Setup setup, const GenerationStore &store)
    : setup_(std::move(setup)), store_(store),
      pipeline_({.counters = setup_.counters,
                 .connection_memory = setup_.connections.bytes(),
                 .wide_connection_memory = setup_.wide_connections.bytes(),
                 .mtu = setup_.mtu,
                 .has_kernel = false, // an AF_XDP port's steering program has left the kernel its own already
                 .counts_inherited = setup_.counts_inherited}) {}

std::uint16_t Forwarder::decide(const core::Generation *generation, std::span<rte_mbuf *> packets, const PortQueue &queue,
                                wire::u64 now_ns) noexcept {
    Frames frames;
    const auto count = fill_frames(packets, frames);
    pipeline_.process(generation, {frames.data(), count}, queue.mac, now_ns);
    return settle(packets.first(count), frames);
}

/// Describes packets to core/. Those that came in several buffers drop here; the rest moves up.
std::uint16_t Forwarder::fill_frames(std::span<rte_mbuf *> packets, Frames &frames) noexcept {
    std::uint16_t count = 0;
    for (rte_mbuf *packet : packets) {
        if (packet->nb_segs != 1) [[unlikely]] {
            core::add(setup_.counters.worker->received_packets);
            core::add(setup_.counters.worker->received_bytes, packet->pkt_len);
            pipeline_.count_drop(wire::DropReason::segmented);
            rte_pktmbuf_free(packet);
            continue;
        }
        auto *data = rte_pktmbuf_mtod(packet, wire::u8 *);
        rte_prefetch0(data);
        frames[count] = {.data = data, .length = packet->data_len, .headroom = rte_pktmbuf_headroom(packet), .verdict = {}, .reason = {}};
        packets[count++] = packet;
    }
    return count;
}

/// Frees what is not forwarded, counted by core, and moves the rest up, with the frames' new bounds.
std::uint16_t Forwarder::settle(std::span<rte_mbuf *> packets, const Frames &frames) noexcept {
    std::uint16_t sendable = 0;
    for (std::size_t i = 0; i < packets.size(); ++i) {
        rte_mbuf *packet = packets[i];
        const core::Frame &frame = frames[i];
        if (frame.verdict != core::Verdict::kForward && frame.verdict != core::Verdict::kReply) [[unlikely]] {
            rte_pktmbuf_free(packet);
            continue;
        }
        packet->data_off = static_cast<std::uint16_t>(frame.data - static_cast<const wire::u8 *>(packet->buf_addr));
        packet->data_len = static_cast<std::uint16_t>(frame.length);
        packet->pkt_len = frame.length;
        packets[sendable++] = packet;
    }
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
