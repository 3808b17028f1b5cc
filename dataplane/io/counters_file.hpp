// SPDX-License-Identifier: Apache-2.0
/// The counters' memory file (wire/counters.h has the layout): made and mapped here, written by its
/// owners, handed out read-only. Sealed so that whom it is handed to can neither write nor resize it.
#pragma once

#include "dataplane/core/count.hpp"
#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/wire/counters.h"

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace fairlead::io {

class CountersFile {
  public:
    /// All zero but for the header's constant part and the ports' names.
    [[nodiscard]] static Result<CountersFile> create(unsigned worker_count, std::span<const std::string> ports = {});

    CountersFile(CountersFile &&other) noexcept
        : bytes_(std::exchange(other.bytes_, {})), reader_(std::move(other.reader_)) {}
    CountersFile &operator=(CountersFile &&) = delete;
    ~CountersFile();

    [[nodiscard]] wire::CountersHeader &header() const; ///< the main thread's to write
    [[nodiscard]] wire::CounterBlock &worker(unsigned index) const;
    [[nodiscard]] wire::PortCounters &port(unsigned index) const;
    [[nodiscard]] int reader_descriptor() const { return reader_.get(); } ///< O_RDONLY
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }

  private:
    CountersFile(std::span<std::byte> bytes, Descriptor reader) : bytes_(bytes), reader_(std::move(reader)) {}

    std::span<std::byte> bytes_;
    Descriptor reader_;
};

} // namespace fairlead::io
