// SPDX-License-Identifier: Apache-2.0
/// A running dataplane's counters, as any reader maps them.
#pragma once

#include "dataplane/wire/counters.h"
#include "tests/unit/io/control_client.hpp"

#include <sys/mman.h>

#include <chrono>
#include <functional>
#include <thread>

namespace fairlead::io::test {

class CountersView {
  public:
    explicit CountersView(const ControlClient &client) {
        if (!client.send(message_of<wire::ControlGetCounters>(wire::kControlGetCounters))) return;
        const auto reply = client.receive();
        if (!reply || reply->type() != wire::kControlCounters) return;
        size_ = reply->as<wire::ControlCounters>().size;
        void *base = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, reply->descriptor.get(), 0);
        if (base != MAP_FAILED) base_ = static_cast<const char *>(base);
    }
    ~CountersView() {
        if (base_ != nullptr) ::munmap(const_cast<char *>(base_), size_);
    }
    CountersView(const CountersView &) = delete;
    CountersView &operator=(const CountersView &) = delete;

    [[nodiscard]] bool is_mapped() const { return base_ != nullptr; }
    [[nodiscard]] const wire::CountersHeader &header() const { return *reinterpret_cast<const wire::CountersHeader *>(base_); }
    [[nodiscard]] const wire::WorkerCounters &worker(unsigned index) const {
        return *reinterpret_cast<const wire::WorkerCounters *>(base_ + header().worker_offset + index * header().worker_stride);
    }
    [[nodiscard]] static wire::u64 read(const wire::u64 &counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }
    [[nodiscard]] wire::u64 received() const {
        wire::u64 sum = 0;
        for (unsigned i = 0; i < header().worker_count; ++i) sum += read(worker(i).received_packets);
        return sum;
    }
    [[nodiscard]] wire::u64 forwarded() const {
        wire::u64 sum = 0;
        for (unsigned i = 0; i < header().worker_count; ++i) sum += read(worker(i).forwarded_packets);
        return sum;
    }
    [[nodiscard]] wire::u64 drops(wire::DropReason reason) const {
        wire::u64 sum = 0;
        for (unsigned i = 0; i < header().worker_count; ++i) sum += read(worker(i).drops[static_cast<unsigned>(reason)]);
        return sum;
    }

  private:
    std::size_t size_ = 0;
    const char *base_ = nullptr;
};

/// Waits up to ten seconds for something to become true.
inline bool eventually(const std::function<bool()> &holds) {
    for (int attempt = 0; attempt < 5000; ++attempt) {
        if (holds()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return holds();
}

} // namespace fairlead::io::test
