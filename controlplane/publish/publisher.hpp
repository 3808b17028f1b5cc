// SPDX-License-Identifier: Apache-2.0
/// The publishing end of the dataplane's control socket (dataplane/wire/control_messages.h).
///
/// One thread owns the connection: it connects, reads Hello, notices the end of the connection and
/// connects again, for ever. publish() hands a snapshot to that thread and waits for the dataplane's
/// word, at most Options::deadline. When an answer does not come in time the connection is given up:
/// the next Hello says which generation runs.
///
/// The events are called from the publisher's thread and must not call publish() (which waits for that
/// thread) nor destroy the publisher; a controller posts them to its own queue.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/publish/sealed_segment.hpp"

namespace fairlead::publish {

using SharedSegment = std::shared_ptr<const SealedSegment>;

/// One generation as sealed segments. Those that did not change are the same objects as before: a
/// segment that the dataplane still holds is not sent again.
struct Snapshot {
    std::uint64_t generation = 0;
    SharedSegment root;
    SharedSegment hops;
    std::vector<SharedSegment> rows; ///< one for each service, in any order
};

/// What the dataplane said of itself when it accepted the connection.
struct DataplaneInfo {
    std::uint64_t generation = 0; ///< running; 0: none
    std::uint64_t pid = 0;
    std::uint32_t worker_count = 0;
    std::string version;
};

/// An adopted generation and what it took.
struct Adoption {
    std::uint64_t generation = 0;
    std::chrono::nanoseconds elapsed{}; ///< from publish() to the dataplane's word
    std::size_t segments_sent = 0;      ///< the root included
    std::uint64_t bytes_sent = 0;       ///< of those segments
};

struct PublishFailure {
    enum class Kind {
        kDisconnected, ///< no dataplane, or it went away; on_connect will follow
        kTimeout,      ///< no word in time; the connection was given up, on_connect will follow
        kRefused,      ///< the dataplane keeps its generation; error.what is its reason
        kStale,        ///< the generation does not exceed the one that runs (PublisherStatus::generation)
    };
    Kind kind;
    Error error;
};

struct PublisherStatus {
    bool connected = false;
    DataplaneInfo dataplane;      ///< as of the last Hello
    std::uint64_t generation = 0; ///< what the dataplane runs, as far as known; a new one must exceed it
    std::uint64_t connections = 0;
    std::uint64_t adopted = 0;    ///< publications, since this publisher started
    std::uint64_t refused = 0;
    std::string last_error;       ///< why there is no connection, or the last refusal; empty: all well
};

class Publisher {
  public:
    struct Options {
        std::string socket_path;
        std::chrono::milliseconds retry{250};
        std::chrono::milliseconds deadline{5000}; ///< for Hello, and for publish() as a whole
    };
    struct Events {
        std::function<void(const DataplaneInfo &)> on_connect; ///< publish everything, above its generation
        std::function<void(const Error &)> on_disconnect;      ///< once for each on_connect
    };

    Publisher(Options options, Events events);
    ~Publisher(); ///< ends the thread; a publish() under way returns kDisconnected
    Publisher(const Publisher &) = delete;
    Publisher &operator=(const Publisher &) = delete;

    /// Sends what the dataplane lacks of the snapshot, then its root, and waits for the answer. Callers
    /// on several threads are served one after the other.
    [[nodiscard]] std::expected<Adoption, PublishFailure> publish(const Snapshot &snapshot);

    [[nodiscard]] PublisherStatus status() const;

  private:
    class Loop;
    std::unique_ptr<Loop> loop_;
};

} // namespace fairlead::publish
