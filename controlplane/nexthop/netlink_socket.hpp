// SPDX-License-Identifier: Apache-2.0
/// An rtnetlink socket of the caller's network namespace. Not thread-safe. Failures are errno values:
/// the callers know which of them are answers (ENETUNREACH to a route query) and which are trouble.
#pragma once

#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>

struct mnl_socket;

namespace fairlead::nexthop {

/// A request under construction: a netlink header, then what libmnl appends.
class NetlinkRequest {
  public:
    NetlinkRequest(std::uint16_t type, std::uint16_t flags);
    NetlinkRequest(const NetlinkRequest &) = delete;
    NetlinkRequest &operator=(const NetlinkRequest &) = delete;

    /// The family's header (rtmsg, ndmsg, ...), zeroed; before any attribute.
    template <class Body> [[nodiscard]] Body &body() { return *static_cast<Body *>(reserve(sizeof(Body))); }
    void put_u32(std::uint16_t attribute, std::uint32_t value);
    [[nodiscard]] nlmsghdr *header() { return header_; }

  private:
    void *reserve(std::size_t size);

    alignas(nlmsghdr) std::byte buffer_[512];
    nlmsghdr *header_;
};

/// An attribute of a received message. The payloads that matter here are fixed in size, so they are
/// asked for by size: another one is no answer.
class NetlinkAttribute {
  public:
    explicit NetlinkAttribute(const nlattr *attribute) : attribute_(attribute) {}
    [[nodiscard]] std::uint16_t type() const;
    [[nodiscard]] bool has_size(std::size_t size) const;
    [[nodiscard]] std::uint32_t u32() const; ///< only if has_size(4)
    [[nodiscard]] const void *payload() const;

  private:
    const nlattr *attribute_;
};

/// @param body_size bytes of the family's header before the attributes.
void for_each_attribute(const nlmsghdr &message, std::size_t body_size,
                        const std::function<void(NetlinkAttribute)> &on_attribute);

class NetlinkSocket {
  public:
    using OnMessage = std::function<void(const nlmsghdr &)>;
    enum class Events { kDrained, kOverrun };

    [[nodiscard]] static std::expected<NetlinkSocket, int> open();

    /// Sends and handles all that comes in answer, up to the acknowledgement or the end of a dump (one
    /// that the kernel says was interrupted by a change is made again). A query without NLM_F_ACK or
    /// NLM_F_DUMP is answered by one message.
    [[nodiscard]] std::expected<void, int> request(NetlinkRequest &request, const OnMessage &on_message = {});

    /// Subscribes to a multicast group (RTNLGRP_...).
    [[nodiscard]] std::expected<void, int> join(unsigned group);

    /// Handles all events that are waiting, without waiting for more. kOverrun: some were lost.
    [[nodiscard]] Events receive_events(const OnMessage &on_message);

    [[nodiscard]] int descriptor() const;

  private:
    struct Close {
        void operator()(mnl_socket *socket) const;
    };
    explicit NetlinkSocket(mnl_socket *socket);
    [[nodiscard]] std::expected<void, int> request_once(NetlinkRequest &request, const OnMessage &on_message);

    std::unique_ptr<mnl_socket, Close> socket_;
    std::unique_ptr<std::byte[]> buffer_; ///< what one receive may bring
    std::uint32_t sequence_ = 0;
};

} // namespace fairlead::nexthop
