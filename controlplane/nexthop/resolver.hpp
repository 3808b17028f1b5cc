// SPDX-License-Identifier: Apache-2.0
/// Follows the kernel's routes and neighbours for a set of IPv4 addresses (the backends').
///
/// What it owns: two rtnetlink sockets and one thread. The sockets belong to the network namespace of
/// the thread that called open(). Every public function may be called from any thread and only takes
/// a short lock; settle() waits. `on_change` is called from the resolver's thread, without a lock, and
/// must not destroy the resolver; a burst of events gives one call.
///
/// The traffic leaves through the dataplane, so nothing makes the kernel resolve a neighbour or notice
/// that it is gone. The resolver does: it asks the kernel to use each entry (NTF_USE), which starts
/// resolution of a missing or failed one and the confirmation of a stale one. It leaves nothing in
/// the kernel that outlives it but ordinary neighbour entries.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/nexthop/next_hop.hpp"

namespace fairlead::nexthop {

struct ResolverOptions {
    std::chrono::milliseconds settle{20};         ///< events this close together are one change
    std::chrono::milliseconds lookup_gap{200};    ///< at least this between two look-ups of all routes
    std::chrono::milliseconds retry_first{500};   ///< between attempts at a neighbour that fails, doubling
    std::chrono::milliseconds retry_max{10'000};  ///< up to this
    std::chrono::milliseconds resync{30'000};     ///< everything is read anew this often, events or not
};

class NextHopResolver {
  public:
    using OnChange = std::function<void()>;

    /// Errors: no netlink socket. Reading needs no privilege; making the kernel resolve needs
    /// CAP_NET_ADMIN, without which an address is resolved only when other traffic makes it so.
    [[nodiscard]] static std::expected<std::unique_ptr<NextHopResolver>, Error> open(OnChange on_change,
                                                                                     ResolverOptions options = {});
    ~NextHopResolver();
    NextHopResolver(const NextHopResolver &) = delete;
    NextHopResolver &operator=(const NextHopResolver &) = delete;

    /// The addresses to follow from now on; those that stay keep what is known of them.
    void set_targets(std::vector<wire::Be32> addresses);

    /// kResolving for an address that is not followed.
    [[nodiscard]] NextHop find(wire::Be32 address) const;
    [[nodiscard]] std::vector<std::pair<wire::Be32, NextHop>> hops() const;

    /// Waits until every address has an answer (anything but kResolving); false: time ran out.
    /// To be called between set_targets() and building a snapshot, so that a restarted control plane
    /// does not publish hops it merely has not looked up yet.
    [[nodiscard]] bool settle(std::chrono::milliseconds patience) const;

    /// Why the kernel was last not asked for something (no privilege, its neighbour table is full);
    /// empty: it always was, since everything was last read.
    [[nodiscard]] std::string trouble() const;

    /// Times the thread woke up; tests hold it against a busy loop.
    [[nodiscard]] std::uint64_t wakeups() const;

  private:
    class Loop;
    explicit NextHopResolver(std::unique_ptr<Loop> loop);
    std::unique_ptr<Loop> loop_;
};

} // namespace fairlead::nexthop
