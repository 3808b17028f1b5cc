// SPDX-License-Identifier: Apache-2.0
/// The running generation, and those that a worker may still be reading; and the same for inherited tables.
///
/// One writer, the main thread, publishes; readers, one thread each, read the pointer once a burst and say
/// once a burst that they hold nothing (rte_rcu_qsbr: quiescent-state-based reclamation). What was replaced
/// is freed once every reader has said so after the replacement.
#pragma once

#include "dataplane/core/generation.hpp"
#include "dataplane/core/inherited_tables.hpp"
#include "dataplane/io/segment_set.hpp"
#include "dataplane/io/table_memory.hpp"

#include <rte_rcu_qsbr.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <set>

namespace fairlead::io {

/// A generation and the segments that it borrows from.
struct AdoptedGeneration {
    std::shared_ptr<const SegmentMapping> root; ///< for the copy on disk
    SegmentSet segments;
    std::unique_ptr<const core::Generation> generation; ///< after the segments: destroyed before them
};

/// Inherited tables and the memory that they are in.
struct InheritedSet {
    std::vector<std::shared_ptr<const TableMemory>> memory;
    core::InheritedTables tables;
};

class GenerationStore {
  public:
    /// More than these waiting means that a reader hangs.
    static constexpr std::size_t kRetiredCountMax = 64;

    explicit GenerationStore(unsigned reader_count);
    ~GenerationStore(); ///< no reader may be reading any more

    GenerationStore(const GenerationStore &) = delete;
    GenerationStore &operator=(const GenerationStore &) = delete;

    // Readers. Each thread has an index of its own below reader_count.

    void start_reading(unsigned reader) noexcept;
    void stop_reading(unsigned reader) noexcept;

    /// The generation to decide the next packets by; null before the first. Valid until this reader's next
    /// quiescent(), pause() or stop_reading().
    /// Acquire: what the pointer leads to was written before the release store in publish().
    [[nodiscard]] const core::Generation *current() const noexcept { return current_.load(std::memory_order_acquire); }

    /// The inherited tables to ask, under the same terms; null: there are none.
    [[nodiscard]] const core::InheritedTables *inherited() const noexcept { return inherited_.load(std::memory_order_acquire); }

    void quiescent(unsigned reader) const noexcept { rte_rcu_qsbr_quiescent(readers_, reader); }
    /// While paused a reader holds nothing and nobody waits for it.
    void pause(unsigned reader) const noexcept { rte_rcu_qsbr_thread_offline(readers_, reader); }
    void resume(unsigned reader) const noexcept { rte_rcu_qsbr_thread_online(readers_, reader); }

    // The writer.

    /// To be called before that generation is published, once.
    void note_restored(wire::u64 number) { restored_number_ = number; }
    /// The generation that came from the copy of an earlier run; 0: none did. Readers ask once they have a generation.
    [[nodiscard]] wire::u64 restored_number() const noexcept { return restored_number_; }
    [[nodiscard]] bool is_full() const { return retired_.size() >= kRetiredCountMax; }
    void publish(AdoptedGeneration next);
    void publish(std::unique_ptr<const InheritedSet> next); ///< null: none any more
    /// Frees what no reader can hold any more; never waits. True: something was freed.
    bool reclaim();
    [[nodiscard]] bool has_retired() const { return !retired_.empty(); }
    /// Begins a grace period: until every reader has been quiescent, or paused, once more.
    [[nodiscard]] wire::u64 start_grace() const noexcept { return rte_rcu_qsbr_start(readers_); }
    /// Whether it is over: no reader holds anything from before start_grace() gave this number, and none hangs. Never waits.
    [[nodiscard]] bool has_passed(wire::u64 grace) const noexcept { return rte_rcu_qsbr_check(readers_, grace, false) == 1; }
    [[nodiscard]] wire::u64 number() const { return running_.generation ? running_.generation->number() : 0; }
    [[nodiscard]] const AdoptedGeneration &running() const { return running_; }
    /// Segments mapped for the running and the retired generations.
    [[nodiscard]] std::size_t segment_count() const;
    /// The virtual addresses of the running and the retired generations.
    [[nodiscard]] std::set<wire::u32> vips() const;

  private:
    struct Retired {
        AdoptedGeneration adopted; ///< either this
        std::unique_ptr<const InheritedSet> inherited; ///< or that
        wire::u64 token; ///< readers that pass it hold nothing of either
    };

    std::atomic<const core::Generation *> current_{nullptr};
    std::atomic<const core::InheritedTables *> inherited_{nullptr};
    rte_rcu_qsbr *readers_;
    wire::u64 restored_number_ = 0;
    AdoptedGeneration running_;
    std::unique_ptr<const InheritedSet> running_inherited_;
    std::deque<Retired> retired_; ///< oldest first
};

} // namespace fairlead::io
