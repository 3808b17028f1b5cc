// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/netlink_socket.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace fairlead::nexthop {
namespace {

constexpr std::size_t kReceiveSize = 32768;          ///< the kernel fills dump messages up to this
constexpr int kEventBufferSize = 1 << 20;            ///< bytes of events that may wait
constexpr timeval kReceiveTimeout{2, 0};             ///< the kernel answers at once; this is against a hang
constexpr int kInterruptedDumpRetries = 8;

int on_data(const nlmsghdr *message, void *context) {
    const auto &on_message = *static_cast<const NetlinkSocket::OnMessage *>(context);
    if (on_message) on_message(*message);
    return MNL_CB_OK;
}

int on_attribute_of(const nlattr *attribute, void *context) {
    (*static_cast<const std::function<void(NetlinkAttribute)> *>(context))(NetlinkAttribute(attribute));
    return MNL_CB_OK;
}

} // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags) : header_(mnl_nlmsg_put_header(buffer_)) {
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

void *NetlinkRequest::reserve(std::size_t size) { return mnl_nlmsg_put_extra_header(header_, size); }

void NetlinkRequest::put_u32(std::uint16_t attribute, std::uint32_t value) {
    mnl_attr_put_u32(header_, attribute, value);
}

std::uint16_t NetlinkAttribute::type() const { return mnl_attr_get_type(attribute_); }

bool NetlinkAttribute::has_size(std::size_t size) const { return mnl_attr_get_payload_len(attribute_) == size; }

std::uint32_t NetlinkAttribute::u32() const { return mnl_attr_get_u32(attribute_); }

const void *NetlinkAttribute::payload() const { return mnl_attr_get_payload(attribute_); }

void for_each_attribute(const nlmsghdr &message, std::size_t body_size,
                        const std::function<void(NetlinkAttribute)> &on_attribute) {
    mnl_attr_parse(&message, static_cast<unsigned>(body_size), on_attribute_of,
                   const_cast<std::function<void(NetlinkAttribute)> *>(&on_attribute));
}

void NetlinkSocket::Close::operator()(mnl_socket *socket) const { mnl_socket_close(socket); }

NetlinkSocket::NetlinkSocket(mnl_socket *socket)
    : socket_(socket), buffer_(std::make_unique<std::byte[]>(kReceiveSize)) {}

std::expected<NetlinkSocket, int> NetlinkSocket::open() {
    mnl_socket *raw = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (raw == nullptr) return std::unexpected(errno);
    NetlinkSocket socket(raw);
    if (mnl_socket_bind(raw, 0, MNL_SOCKET_AUTOPID) != 0) return std::unexpected(errno);
    const int number = mnl_socket_get_fd(raw);
    if (::setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &kReceiveTimeout, sizeof(kReceiveTimeout)) != 0)
        return std::unexpected(errno);
    // Beyond the system's limit where we may; what does not fit shows as an overrun, which is repaired.
    if (::setsockopt(number, SOL_SOCKET, SO_RCVBUFFORCE, &kEventBufferSize, sizeof(kEventBufferSize)) != 0)
        ::setsockopt(number, SOL_SOCKET, SO_RCVBUF, &kEventBufferSize, sizeof(kEventBufferSize));
    return socket;
}

int NetlinkSocket::descriptor() const { return mnl_socket_get_fd(socket_.get()); }

std::expected<void, int> NetlinkSocket::join(unsigned group) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
        return std::unexpected(errno);
    return {};
}

std::expected<void, int> NetlinkSocket::request(NetlinkRequest &request, const OnMessage &on_message) {
    for (int attempt = 0;; ++attempt) {
        const auto done = request_once(request, on_message);
        if (done || done.error() != EINTR || attempt == kInterruptedDumpRetries) return done;
    }
}

std::expected<void, int> NetlinkSocket::request_once(NetlinkRequest &request, const OnMessage &on_message) {
    nlmsghdr *header = request.header();
    header->nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_.get(), header, header->nlmsg_len) < 0) return std::unexpected(errno);

    const bool more_follows = (header->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) != 0;
    for (;;) {
        const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer_.get(), kReceiveSize);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return std::unexpected(errno);
        const int state = mnl_cb_run(buffer_.get(), static_cast<std::size_t>(size), sequence_, 0, on_data,
                                     const_cast<OnMessage *>(&on_message));
        if (state < 0 && errno == EPROTO) continue; // another sequence number: an answer that was given up
        if (state < 0) return std::unexpected(errno);
        if (state == MNL_CB_STOP || !more_follows) return {};
    }
}

NetlinkSocket::Events NetlinkSocket::receive_events(const OnMessage &on_message) {
    for (;;) {
        const ssize_t size = ::recv(descriptor(), buffer_.get(), kReceiveSize, MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN ? Events::kDrained : Events::kOverrun;
        if (static_cast<std::size_t>(size) > kReceiveSize) return Events::kOverrun;
        mnl_cb_run(buffer_.get(), static_cast<std::size_t>(size), 0, 0, on_data, const_cast<OnMessage *>(&on_message));
    }
}

} // namespace fairlead::nexthop
