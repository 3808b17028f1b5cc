// SPDX-License-Identifier: Apache-2.0
/// The control socket's server (wire/control_messages.h): DIR/dataplane.sock, SOCK_SEQPACKET, mode 0600.
///
/// One thread, no waiting: what a peer sends is judged message by message, and a peer that breaks the
/// protocol, does not read, or sends descriptors nobody asked for loses its connection and nothing else.
/// The number of peers, and what each can make us hold, are bounded.
#pragma once

#include "dataplane/io/adoption.hpp"
#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/io/segment_set.hpp"
#include "dataplane/wire/control_messages.h"

#include <cstddef>
#include <filesystem>
#include <list>
#include <span>
#include <vector>

namespace fairlead::io {

class ControlServer {
  public:
    static constexpr std::size_t kPeerCountMax = 32;

    struct Facts {
        unsigned worker_count;
        int counters_descriptor; ///< O_RDONLY
        std::size_t counters_size;
    };

    /// Listens at the path, in place of a dead instance's socket. The caller owns the directory.
    [[nodiscard]] static Result<ControlServer> listen(const std::filesystem::path &path, Adoption &adoption, const Facts &facts);

    ControlServer(ControlServer &&other) noexcept;
    ControlServer &operator=(ControlServer &&) = delete;
    ~ControlServer(); ///< removes the socket

    /// Waits up to timeout_ms (-1: for ever) for peers or for `wake`, and serves what has come.
    /// @param wake a descriptor of the caller's. True: it has become readable, or a peer has asked to stop.
    [[nodiscard]] bool serve(int wake, int timeout_ms);

    [[nodiscard]] bool is_asked_to_stop() const { return is_asked_to_stop_; }

  private:
    struct Peer {
        Descriptor socket;
        SegmentSet held;
        bool has_sent = false; ///< a message of the protocol
    };
    struct Message;

    ControlServer(std::filesystem::path path, Descriptor listener, Adoption &adoption, const Facts &facts);

    void accept_peer();
    [[nodiscard]] bool serve_peer(Peer &peer);
    [[nodiscard]] bool answer(Peer &peer, const Message &message);
    [[nodiscard]] bool take_segment(Peer &peer, const Message &message);
    [[nodiscard]] bool take_publication(Peer &peer, const Message &message);
    [[nodiscard]] bool send_counters(Peer &peer);
    [[nodiscard]] bool take_stop(Peer &peer);
    [[nodiscard]] bool send_refusal(Peer &peer, wire::u64 generation, wire::u64 segment_id, const core::Refusal &reason);

    std::filesystem::path path_;
    Descriptor listener_;
    Adoption *adoption_;
    Facts facts_;
    std::list<Peer> peers_; ///< longest connected first
    bool is_asked_to_stop_ = false;
};

} // namespace fairlead::io
