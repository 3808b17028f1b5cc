// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/generation_store.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace fairlead::io {

GenerationStore::GenerationStore(unsigned reader_count) {
    const std::size_t size = (rte_rcu_qsbr_get_memsize(reader_count) + RTE_CACHE_LINE_SIZE - 1) & ~std::size_t{RTE_CACHE_LINE_SIZE - 1};
    readers_ = static_cast<rte_rcu_qsbr *>(std::aligned_alloc(RTE_CACHE_LINE_SIZE, size));
    if (readers_ == nullptr || rte_rcu_qsbr_init(readers_, reader_count) != 0) throw std::bad_alloc();
}

GenerationStore::~GenerationStore() { std::free(readers_); }

void GenerationStore::start_reading(unsigned reader) noexcept {
    rte_rcu_qsbr_thread_register(readers_, reader);
    rte_rcu_qsbr_thread_online(readers_, reader);
}

void GenerationStore::stop_reading(unsigned reader) noexcept {
    rte_rcu_qsbr_thread_offline(readers_, reader);
    rte_rcu_qsbr_thread_unregister(readers_, reader);
}

void GenerationStore::publish(AdoptedGeneration next) {
    // Release: a worker that sees the pointer sees the generation whole. The token is taken after the store, so a
    // reader that reports a later state has read the new pointer, or none.
    current_.store(next.generation.get(), std::memory_order_release);
    const wire::u64 token = rte_rcu_qsbr_start(readers_);
    if (running_.generation) retired_.push_back({std::move(running_), nullptr, token});
    running_ = std::move(next);
}

void GenerationStore::publish(std::unique_ptr<const InheritedSet> next) {
    inherited_.store(next ? &next->tables : nullptr, std::memory_order_release); // and a token, as above
    const wire::u64 token = rte_rcu_qsbr_start(readers_);
    if (running_inherited_) retired_.push_back({{}, std::move(running_inherited_), token});
    running_inherited_ = std::move(next);
}

bool GenerationStore::reclaim() {
    bool freed = false;
    while (!retired_.empty() && rte_rcu_qsbr_check(readers_, retired_.front().token, false) == 1) {
        retired_.pop_front();
        freed = true;
    }
    return freed;
}

std::size_t GenerationStore::segment_count() const {
    std::set<const std::byte *> mapped;
    const auto add = [&](const AdoptedGeneration &adopted) {
        for (const auto &segment : adopted.segments.checked()) mapped.insert(segment.bytes.data());
    };
    add(running_);
    for (const auto &retired : retired_) add(retired.adopted);
    return mapped.size();
}

std::set<wire::u32> GenerationStore::vips() const {
    std::set<wire::u32> addresses;
    const auto add = [&](const AdoptedGeneration &adopted) {
        if (!adopted.generation) return;
        for (const auto vip : adopted.generation->vips()) addresses.insert(vip.raw);
    };
    add(running_);
    for (const auto &retired : retired_) add(retired.adopted);
    return addresses;
}

} // namespace fairlead::io
