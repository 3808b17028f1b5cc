// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/control_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace fairlead::io {

using namespace wire;

namespace {

constexpr int kMessagesPerTurn = 64;          // then the other peers have theirs
constexpr std::size_t kDescriptorCountMax = 8; // room to receive, and close, more than the one that is right

template <class Message>
Message make_message(ControlType type) {
    Message message{};
    message.header = {.magic = kControlMagic, .version = kControlVersion, .type = static_cast<u16>(type),
                      .length = sizeof(Message), .reserved = 0};
    return message;
}

void copy_text(std::span<char> to, std::string_view text) {
    const auto size = std::min(text.size(), to.size() - 1);
    std::memcpy(to.data(), text.data(), size);
    to[size] = '\0';
}

/// A peer that does not read its answers is not waited for: false.
bool send_message(int socket, std::span<const std::byte> bytes, int descriptor = -1) {
    iovec part{.iov_base = const_cast<std::byte *>(bytes.data()), .iov_len = bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (descriptor >= 0) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    }
    return ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

template <class Message>
bool send_message(int socket, const Message &message, int descriptor = -1) {
    return send_message(socket, std::as_bytes(std::span(&message, 1)), descriptor);
}

/// What a peer may send: each type has one length and one number of descriptors.
struct Expected {
    u16 type;
    u32 length;
    std::size_t descriptor_count;
};
constexpr Expected kExpected[] = {
    {kControlSegment, sizeof(ControlSegment), 1},
    {kControlPublish, sizeof(ControlPublish), 1},
    {kControlGetCounters, sizeof(ControlGetCounters), 0},
    {kControlStop, sizeof(ControlStop), 0},
};

} // namespace

/// A message as received, and the descriptors that came with it, closed unless taken.
struct ControlServer::Message {
    alignas(8) std::array<std::byte, kControlMessageSizeMax> bytes;
    std::size_t size = 0;
    bool truncated = false;
    std::vector<Descriptor> descriptors;

    enum class Received { kMessage, kNothing, kEnd };

    Received receive(int socket) {
        iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(kDescriptorCountMax * sizeof(int))> control{};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const ssize_t received = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (received < 0) return errno == EAGAIN || errno == EINTR ? Received::kNothing : Received::kEnd;
        take_descriptors(header);
        if (received == 0 && descriptors.empty()) return Received::kEnd; // an empty message reads the same, and is no message
        size = static_cast<std::size_t>(received);
        truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
        return Received::kMessage;
    }

    void take_descriptors(msghdr &header) {
        for (cmsghdr *part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
            if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
            const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int number = -1;
                std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
                descriptors.emplace_back(number);
            }
        }
    }

    template <class Body>
    [[nodiscard]] Body as() const {
        Body body;
        std::memcpy(&body, bytes.data(), sizeof(Body));
        return body;
    }

    /// Why this is no message of the protocol; null: it is one.
    [[nodiscard]] const char *fault() const {
        if (truncated) return "longer than any message, or with too many descriptors";
        if (size < sizeof(ControlHeader)) return "shorter than a header";
        const auto header = as<ControlHeader>();
        if (header.magic != kControlMagic) return "of the wrong magic";
        if (header.version != kControlVersion) return "of another version";
        if (header.length != size) return "of another length than it says";
        const auto *expected = std::ranges::find(kExpected, header.type, &Expected::type);
        if (expected == std::end(kExpected)) return "of a type that is not for a dataplane";
        if (expected->length != size) return "of the wrong length for its type";
        if (expected->descriptor_count != descriptors.size()) return "with the wrong number of descriptors";
        return nullptr;
    }
};

Result<ControlServer> ControlServer::listen(const std::filesystem::path &path, Adoption &adoption, const Facts &facts) {
    // Made under another name: whoever finds the socket can connect to it.
    const std::string unborn = path.string() + ".new";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (unborn.size() >= sizeof(address.sun_path))
        return std::unexpected(fmt::format("{}: a socket's path has at most {} characters; choose a shorter --runtime-dir",
                                           path.string(), sizeof(address.sun_path) - 1 - (unborn.size() - path.string().size())));
    std::memcpy(address.sun_path, unborn.c_str(), unborn.size());
    const auto cannot = [&](const char *verb) {
        return std::unexpected(fmt::format("cannot {} {}: {}", verb, path.string(), std::strerror(errno)));
    };

    Descriptor listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener) return cannot("make");
    if (::unlink(unborn.c_str()) != 0 && errno != ENOENT) return cannot("replace");
    // Mode 0600 from the first moment: the API's group goes through fairleadd, which checks. No other thread makes files yet.
    const mode_t mask = ::umask(0177);
    const int bound = ::bind(listener.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address));
    ::umask(mask);
    if (bound != 0) return cannot("bind");
    if (::listen(listener.get(), static_cast<int>(kPeerCountMax)) != 0) return cannot("listen at");
    if (::rename(unborn.c_str(), path.c_str()) != 0) return cannot("name");
    return ControlServer(path, std::move(listener), adoption, facts);
}

ControlServer::ControlServer(std::filesystem::path path, Descriptor listener, Adoption &adoption, const Facts &facts)
    : path_(std::move(path)), listener_(std::move(listener)), adoption_(&adoption), facts_(facts) {}

ControlServer::ControlServer(ControlServer &&other) noexcept
    : path_(std::exchange(other.path_, {})), listener_(std::move(other.listener_)), adoption_(other.adoption_),
      facts_(other.facts_), peers_(std::move(other.peers_)), is_asked_to_stop_(other.is_asked_to_stop_) {}

ControlServer::~ControlServer() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

bool ControlServer::serve(int wake, int timeout_ms) {
    std::vector<pollfd> polled{{wake, POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const auto &peer : peers_) polled.push_back({peer.socket.get(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), timeout_ms) <= 0) return false;

    auto entry = polled.begin() + 2;
    for (auto peer = peers_.begin(); peer != peers_.end(); ++entry) {
        const bool keep = entry->revents == 0 || serve_peer(*peer);
        peer = keep ? std::next(peer) : peers_.erase(peer);
    }
    if (polled[1].revents != 0) accept_peer();
    return polled[0].revents != 0 || is_asked_to_stop_;
}

void ControlServer::accept_peer() {
    Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (peers_.size() >= kPeerCountMax) {
        // Room at the cost of who never said anything; else of the newcomer.
        const auto silent = std::ranges::find(peers_, false, &Peer::has_sent);
        spdlog::warn("control socket: {} peers; {} is disconnected", peers_.size(),
                     silent == peers_.end() ? "the newcomer" : "the longest silent one");
        if (silent == peers_.end()) return;
        peers_.erase(silent);
    }
    auto hello = make_message<ControlHello>(kControlHello);
    hello.generation = adoption_->number();
    hello.pid = static_cast<u64>(::getpid());
    hello.worker_count = facts_.worker_count;
    hello.snapshot_abi = kSnapshotAbi;
    copy_text(hello.version, FAIRLEAD_VERSION);
    if (!send_message(socket.get(), hello)) return;
    peers_.push_back({.socket = std::move(socket), .held = {}, .has_sent = false});
}

/// False: the connection is over.
bool ControlServer::serve_peer(Peer &peer) {
    for (int turn = 0; turn < kMessagesPerTurn; ++turn) {
        Message message;
        switch (message.receive(peer.socket.get())) {
        case Message::Received::kNothing: return true;
        case Message::Received::kEnd: return false;
        case Message::Received::kMessage: break;
        }
        if (const char *fault = message.fault()) {
            spdlog::warn("control socket: a message {}; its peer is disconnected", fault);
            return false;
        }
        peer.has_sent = true;
        if (!answer(peer, message)) return false;
    }
    return true;
}

bool ControlServer::answer(Peer &peer, const Message &message) {
    switch (message.as<ControlHeader>().type) {
    case kControlSegment: return take_segment(peer, message);
    case kControlPublish: return take_publication(peer, message);
    case kControlStop: return take_stop(peer);
    default: return send_counters(peer);
    }
}

bool ControlServer::take_segment(Peer &peer, const Message &message) {
    const u64 id = message.as<ControlSegment>().id;
    const auto refusal = peer.held.take(message.descriptors.front().get(), id);
    return refusal.empty() || send_refusal(peer, 0, id, refusal);
}

bool ControlServer::take_publication(Peer &peer, const Message &message) {
    const u64 number = message.as<ControlPublish>().generation;
    const auto refusal = adoption_->adopt(message.descriptors.front().get(), number, peer.held);
    if (!refusal.empty()) return send_refusal(peer, number, 0, refusal);
    spdlog::debug("generation {} adopted", number);
    auto adopted = make_message<ControlAdopted>(kControlAdopted);
    adopted.generation = number;
    return send_message(peer.socket.get(), adopted);
}

bool ControlServer::send_counters(Peer &peer) {
    auto counters = make_message<ControlCounters>(kControlCounters);
    counters.size = facts_.counters_size;
    return send_message(peer.socket.get(), counters, facts_.counters_descriptor);
}

bool ControlServer::take_stop(Peer &peer) {
    is_asked_to_stop_ = true;
    return send_message(peer.socket.get(), make_message<ControlStopping>(kControlStopping));
}

bool ControlServer::send_refusal(Peer &peer, u64 generation, u64 segment_id, const core::Refusal &reason) {
    spdlog::warn("refused {} {}: {}", segment_id != 0 ? "segment" : "generation", segment_id != 0 ? segment_id : generation, reason);
    auto refused = make_message<ControlRefused>(kControlRefused);
    refused.generation = generation;
    refused.segment_id = segment_id;
    refused.running = adoption_->number();
    copy_text(refused.reason, reason);
    return send_message(peer.socket.get(), refused);
}

} // namespace fairlead::io
