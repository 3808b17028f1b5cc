// SPDX-License-Identifier: Apache-2.0
/// The inherited tables of this run, as the main thread sees them: what lives in them is counted every so often, and a table
/// in which nothing does is let go: first by the workers, then its file.
#pragma once

#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/table_memory.hpp"

#include <memory>
#include <vector>

namespace fairlead::io {

class Inheritance {
  public:
    /// Gives the workers the tables at once.
    Inheritance(GenerationStore &store, std::vector<TableMemory> tables);

    /// Counts anew, when it is time to. @param now_ns CLOCK_MONOTONIC.
    void look(wire::u64 now_ns);

    [[nodiscard]] std::size_t table_count() const { return tables_.size(); }

  private:
    [[nodiscard]] wire::u64 count(const TableMemory &table, const core::Generation &, wire::u64 now_ns);
    void publish();

    GenerationStore &store_;
    std::vector<std::shared_ptr<TableMemory>> tables_;
    std::vector<wire::u32> live_;    ///< by slot
    wire::u64 serial_ = 0;
    wire::u64 next_ns_ = 0;
};

} // namespace fairlead::io
