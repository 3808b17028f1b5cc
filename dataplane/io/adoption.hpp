// SPDX-License-Identifier: Apache-2.0
/// How a published root becomes the running generation: map, check, build, steer, publish, and later free
/// what it replaced. Main thread only.
#pragma once

#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/segment_set.hpp"
#include "dataplane/io/steering.hpp"

#include <span>

namespace fairlead::io {

class Adoption {
  public:
    /// @param steerings the ports whose devices bring packets for known addresses only.
    Adoption(GenerationStore &store, wire::CountersHeader &counters, std::span<Steering> steerings)
        : store_(store), counters_(counters), steerings_(steerings) {}

    /// Adopts a root. On success `held` keeps just the segments that the new generation names.
    /// @param number what the message calls the generation.
    /// @param held the segments that the root may name.
    [[nodiscard]] core::Refusal adopt(int root_descriptor, wire::u64 number, SegmentSet &held);

    /// The same for the copy of an earlier run's last generation: connections may name backends that it does not know yet.
    [[nodiscard]] core::Refusal adopt_restored(int root_descriptor, wire::u64 number, SegmentSet &held) {
        store_.note_restored(number);
        return adopt(root_descriptor, number, held);
    }

    /// Frees what no worker holds any more and stops steering addresses that nothing names. Never waits.
    void tidy();
    /// Brings the header's counts of the steering programs up to date.
    void count_steered();
    [[nodiscard]] bool is_tidy() const { return !store_.has_retired(); }
    [[nodiscard]] wire::u64 number() const { return store_.number(); }

  private:
    [[nodiscard]] core::Refusal build(int root_descriptor, wire::u64 number, const SegmentSet &held, AdoptedGeneration &out);
    void steer_no_others();
    [[nodiscard]] core::Refusal steer(const core::Generation &generation);

    GenerationStore &store_;
    wire::CountersHeader &counters_;
    std::span<Steering> steerings_;
};

} // namespace fairlead::io
