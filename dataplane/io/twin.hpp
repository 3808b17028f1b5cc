// SPDX-License-Identifier: Apache-2.0
/// A port's twin: a TAP interface of the kernel with the NIC's address and MTU. What the NIC receives for no VIP goes to the
/// kernel through it, and what the kernel sends on it leaves by the NIC: ARP, BGP, SSH and health probes work as they did before
/// the NIC was bound.
///
/// System calls are made by a thread of the twin's own; workers exchange frames with it (FrameRing). It wakes that thread only
/// when it sleeps: a flood for the kernel costs workers a copy each, and what the kernel cannot take drops here, counted.
///
/// The interface goes with the process, unless it was there before (`ip tuntap add`, or a .netdev file of systemd-networkd):
/// then it stays, with its addresses, and only loses its carrier.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/frame_ring.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/wire/counters.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace fairlead::io {

class Twin {
  public:
    struct Setup {
        std::string name;
        core::MacAddress mac;
        unsigned mtu;
        unsigned worker_count; ///< each has a ring to the kernel of its own
        wire::PortCounters *counters;
    };

    /// Whether a twin could be made; changes nothing. The error says what is missing.
    [[nodiscard]] static Result<void> check(const std::string &name);
    /// Makes or takes the interface and sets it up; its carrier is off.
    [[nodiscard]] static Result<std::unique_ptr<Twin>> open(const Setup &setup);
    ~Twin();
    Twin(const Twin &) = delete;
    Twin &operator=(const Twin &) = delete;

    [[nodiscard]] const std::string &name() const { return setup_.name; }
    /// The kernel uses the interface while it has a carrier.
    void set_carrier(bool on) const;

    // A worker's side. The way from the kernel has one worker, too.

    /// Frames that the kernel takes for certain: the worker alone adds to them.
    [[nodiscard]] std::uint32_t room_to_kernel(unsigned worker) const noexcept { return to_kernel_[worker]->room(); }
    /// False: there is no room; the frame has been left alone.
    bool give_kernel(unsigned worker, std::span<const std::byte> frame) noexcept { return to_kernel_[worker]->push_copy(frame); }
    /// After a burst in which something was given.
    void wake() noexcept {
        // An exchange here and in sleep(), since of two one is first and the other reads what it wrote: either we see it sleep, or
        // it sees our frames. (A fence on both sides would do as well, but the thread sanitizer knows none.)
        if (is_asleep_.exchange(false, std::memory_order_acq_rel)) ring_bell();
    }
    [[nodiscard]] FrameRing &from_kernel() noexcept { return from_kernel_; }

  private:
    static constexpr unsigned kToKernelSlots = 512;
    static constexpr unsigned kFromKernelSlots = 256;

    Twin(const Setup &setup, Descriptor tap, Descriptor bell);
    void run() noexcept;
    [[nodiscard]] bool feed_kernel() noexcept;
    enum class Taken { kNothing, kSome, kNoRoom };
    [[nodiscard]] Taken take_from_kernel() noexcept;
    void sleep() noexcept;
    void ring_bell() noexcept;

    Setup setup_;
    Descriptor tap_;
    Descriptor bell_; ///< an eventfd
    std::vector<std::unique_ptr<FrameRing>> to_kernel_; ///< by worker
    FrameRing from_kernel_;
    std::atomic<bool> is_asleep_{false};
    std::atomic<bool> stops_{false};
    std::thread thread_; ///< last: the rest is there before it runs
};

} // namespace fairlead::io
