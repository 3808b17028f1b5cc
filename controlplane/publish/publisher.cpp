// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/publisher.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "controlplane/publish/control_socket.hpp"

namespace fairlead::publish {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = PublishFailure::Kind;
using Outcome = std::expected<Adoption, PublishFailure>;

std::unexpected<PublishFailure> fail(Kind kind, Error error) {
    return std::unexpected(PublishFailure{kind, std::move(error)});
}

Error not_above(std::uint64_t generation, std::uint64_t running) {
    return error_of(fmt::format("generation {} does not exceed {}, which the dataplane runs", generation, running));
}

/// An event that descriptors can wait for: set by one thread, polled by another.
class Signal {
  public:
    Signal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    void raise() const { ::eventfd_write(event_.get(), 1); }
    void clear() const {
        eventfd_t ignored;
        ::eventfd_read(event_.get(), &ignored);
    }
    [[nodiscard]] int descriptor() const { return event_.get(); }

  private:
    Descriptor event_;
};

template <std::size_t N> std::string text_of(const char (&text)[N]) {
    return {text, static_cast<std::size_t>(std::find(text, text + N, '\0') - text)};
}

} // namespace

/// The publisher's thread and what it shares with callers. `socket_` and `held_` belong to the thread.
class Publisher::Loop {
  public:
    Loop(Options options, Events events) : options_(std::move(options)), events_(std::move(events)) {
        thread_ = std::thread([this] { run(); });
    }
    ~Loop() {
        stop_.raise();
        thread_.join();
        const std::lock_guard last(publish_mutex_); // a caller that has just been answered is still on its way out
    }

    Outcome publish(const Snapshot &snapshot);
    PublisherStatus status() const {
        const std::lock_guard lock(mutex_);
        return status_;
    }

  private:
    /// A publish() under way; lives on its caller's stack until `outcome` is set (under mutex_).
    struct Request {
        const Snapshot &snapshot;
        Clock::time_point until;
        std::optional<Outcome> outcome;
    };

    void run();
    bool stopped_within(std::chrono::milliseconds time) const;
    bool connect();
    void serve();
    void disconnect(const Error &error);
    void answer_request();
    void read_unasked();
    Outcome send_snapshot(const Snapshot &snapshot, const Patience &patience);
    std::expected<void, SocketFailure> send_segments(const Snapshot &snapshot, const Patience &patience,
                                                     Adoption &adoption);
    Outcome await_answer(const Snapshot &snapshot, const Patience &patience, Adoption adoption);
    void adopted(const Snapshot &snapshot);
    Outcome refused(const std::string &reason);
    Outcome stale(const Snapshot &snapshot, std::uint64_t running);
    Outcome lost(const SocketFailure &failure);

    const Options options_;
    const Events events_;
    Signal stop_;
    Signal requested_;

    std::optional<ControlSocket> socket_;
    std::set<std::uint64_t> held_; ///< ids of the segments that the dataplane has

    std::mutex publish_mutex_; ///< one publish() at a time
    mutable std::mutex mutex_; ///< for what follows
    std::condition_variable answered_;
    PublisherStatus status_;
    Request *request_ = nullptr; ///< waiting for the thread to take it

    std::thread thread_;
};

Outcome Publisher::Loop::publish(const Snapshot &snapshot) {
    assert(snapshot.root && snapshot.hops);
    const std::lock_guard turn(publish_mutex_);
    Request request{snapshot, Clock::now() + options_.deadline, {}};
    std::unique_lock lock(mutex_);
    if (!status_.connected)
        return fail(Kind::kDisconnected, error_of("not connected to the dataplane: " + status_.last_error));
    if (snapshot.generation <= status_.generation)
        return fail(Kind::kStale, not_above(snapshot.generation, status_.generation));
    request_ = &request;
    requested_.raise();
    // No deadline here: the thread has one, and whatever becomes of the connection it sets the outcome.
    answered_.wait(lock, [&request] { return request.outcome.has_value(); });
    return *std::move(request.outcome);
}

void Publisher::Loop::run() {
    do {
        if (connect()) serve();
    } while (!stopped_within(options_.retry));
    disconnect(error_of("the publisher is ending"));
}

bool Publisher::Loop::stopped_within(std::chrono::milliseconds time) const {
    pollfd polled{stop_.descriptor(), POLLIN, 0};
    return ::poll(&polled, 1, static_cast<int>(time.count())) > 0;
}

bool Publisher::Loop::connect() {
    const auto give_up = [this](const Error &error) {
        const std::lock_guard lock(mutex_);
        status_.last_error = error.format();
        return false;
    };
    auto socket = ControlSocket::connect(options_.socket_path);
    if (!socket) return give_up(socket.error());
    const auto hello = socket->receive_hello({Clock::now() + options_.deadline, stop_.descriptor()});
    if (!hello) return give_up(hello.error().error);

    const DataplaneInfo info{hello->generation, hello->pid, hello->worker_count, text_of(hello->version)};
    socket_ = std::move(*socket);
    held_.clear();
    {
        const std::lock_guard lock(mutex_);
        status_.connected = true;
        status_.dataplane = info;
        status_.generation = info.generation;
        ++status_.connections;
        status_.last_error.clear();
    }
    if (events_.on_connect) events_.on_connect(info);
    return true;
}

/// Serves one connection until it ends, or this publisher does.
void Publisher::Loop::serve() {
    while (socket_) {
        pollfd polled[3] = {{socket_->descriptor(), POLLIN, 0},
                            {requested_.descriptor(), POLLIN, 0},
                            {stop_.descriptor(), POLLIN, 0}};
        if (::poll(polled, 3, -1) < 0) continue;
        if (polled[2].revents != 0) return;
        if (polled[0].revents != 0) read_unasked();
        if (socket_ && polled[1].revents != 0) answer_request();
    }
}

void Publisher::Loop::disconnect(const Error &error) {
    socket_.reset();
    requested_.clear();
    bool was_connected = false;
    {
        const std::lock_guard lock(mutex_);
        was_connected = std::exchange(status_.connected, false);
        status_.last_error = error.format();
        if (Request *request = std::exchange(request_, nullptr))
            request->outcome = fail(Kind::kDisconnected, error);
        answered_.notify_all();
    }
    if (was_connected && events_.on_disconnect) events_.on_disconnect(error);
}

/// The dataplane speaks, or hangs up, while nothing has been asked of it.
void Publisher::Loop::read_unasked() {
    auto message = socket_->receive({Clock::now() + options_.deadline, stop_.descriptor()});
    if (!message) return disconnect(message.error().error);
    if (message->type != wire::kControlRefused)
        return disconnect(error_of(fmt::format("dataplane: an answer of type {} to no question", message->type)));
    const auto refusal = message->as<wire::ControlRefused>();
    held_.erase(refusal.segment_id);
    const std::lock_guard lock(mutex_);
    status_.last_error = "dataplane: " + text_of(refusal.reason);
}

void Publisher::Loop::answer_request() {
    requested_.clear();
    Request *request = nullptr;
    {
        const std::lock_guard lock(mutex_);
        request = std::exchange(request_, nullptr); // from here on only this function answers it
    }
    if (request == nullptr) return;
    Outcome outcome = send_snapshot(request->snapshot, {request->until, stop_.descriptor()});
    const std::lock_guard lock(mutex_);
    request->outcome = std::move(outcome);
    answered_.notify_all(); // with the lock held: the request is gone as soon as its caller sees the outcome
}

Outcome Publisher::Loop::send_snapshot(const Snapshot &snapshot, const Patience &patience) {
    const auto start = Clock::now();
    Adoption adoption{.generation = snapshot.generation};
    if (auto sent = send_segments(snapshot, patience, adoption); !sent) return lost(sent.error());
    Outcome outcome = await_answer(snapshot, patience, adoption);
    if (outcome) outcome->elapsed = Clock::now() - start;
    return outcome;
}

std::expected<void, SocketFailure> Publisher::Loop::send_segments(const Snapshot &snapshot, const Patience &patience,
                                                                  Adoption &adoption) {
    const auto send_missing = [&](const SealedSegment &segment) -> std::expected<void, SocketFailure> {
        if (held_.contains(segment.id())) return {};
        auto message = make_control_message<wire::ControlSegment>(wire::kControlSegment);
        message.id = segment.id();
        auto sent = socket_->send(message, segment.descriptor(), patience);
        if (!sent) return sent;
        held_.insert(segment.id());
        ++adoption.segments_sent;
        adoption.bytes_sent += segment.size();
        return {};
    };
    if (auto sent = send_missing(*snapshot.hops); !sent) return sent;
    for (const SharedSegment &rows : snapshot.rows)
        if (auto sent = send_missing(*rows); !sent) return sent;

    auto message = make_control_message<wire::ControlPublish>(wire::kControlPublish);
    message.generation = snapshot.generation;
    ++adoption.segments_sent;
    adoption.bytes_sent += snapshot.root->size();
    return socket_->send(message, snapshot.root->descriptor(), patience);
}

/// A refused segment is reported before the root that names it is refused for want of it; the first
/// reason is the one that explains.
Outcome Publisher::Loop::await_answer(const Snapshot &snapshot, const Patience &patience, Adoption adoption) {
    std::string segment_reason;
    for (;;) {
        auto message = socket_->receive(patience);
        if (!message) return lost(message.error());
        if (message->type == wire::kControlAdopted &&
            message->as<wire::ControlAdopted>().generation == snapshot.generation) {
            adopted(snapshot);
            return adoption;
        }
        if (message->type != wire::kControlRefused)
            return lost({false, error_of(fmt::format("dataplane: an answer of type {} to another question",
                                                     message->type))});
        const auto refusal = message->as<wire::ControlRefused>();
        if (refusal.segment_id == 0 && refusal.running >= snapshot.generation) return stale(snapshot, refusal.running);
        if (refusal.segment_id == 0)
            return refused(segment_reason.empty() ? text_of(refusal.reason) : segment_reason);
        held_.erase(refusal.segment_id);
        if (segment_reason.empty())
            segment_reason = fmt::format("segment {}: {}", refusal.segment_id, text_of(refusal.reason));
    }
}

/// From now on the dataplane holds what this generation names and nothing else.
void Publisher::Loop::adopted(const Snapshot &snapshot) {
    held_ = {snapshot.hops->id()};
    for (const SharedSegment &rows : snapshot.rows) held_.insert(rows->id());
    const std::lock_guard lock(mutex_);
    status_.generation = snapshot.generation;
    ++status_.adopted;
    status_.last_error.clear();
}

Outcome Publisher::Loop::refused(const std::string &reason) {
    const std::lock_guard lock(mutex_);
    ++status_.refused;
    status_.last_error = "dataplane: " + reason;
    return fail(Kind::kRefused, error_of("the dataplane refused it: " + reason));
}

/// Another publisher's generation runs: the contents were not at fault, the number was.
Outcome Publisher::Loop::stale(const Snapshot &snapshot, std::uint64_t running) {
    const std::lock_guard lock(mutex_);
    status_.generation = running;
    return fail(Kind::kStale, not_above(snapshot.generation, running));
}

/// An answer that may still come would be taken for the next one's, so the connection ends with it.
Outcome Publisher::Loop::lost(const SocketFailure &failure) {
    disconnect(failure.error);
    return fail(failure.timed_out ? Kind::kTimeout : Kind::kDisconnected, failure.error);
}

Publisher::Publisher(Options options, Events events)
    : loop_(std::make_unique<Loop>(std::move(options), std::move(events))) {}

Publisher::~Publisher() = default;

std::expected<Adoption, PublishFailure> Publisher::publish(const Snapshot &snapshot) {
    return loop_->publish(snapshot);
}

PublisherStatus Publisher::status() const { return loop_->status(); }

} // namespace fairlead::publish
