// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/resolver.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "controlplane/nexthop/hop_table.hpp"
#include "controlplane/nexthop/netlink_socket.hpp"

namespace fairlead::nexthop {
namespace {

/// Nothing for a message about another family.
std::optional<NeighbourNews> read_neighbour(const nlmsghdr &message) {
    const auto *body = static_cast<const ndmsg *>(mnl_nlmsg_get_payload(&message));
    if (body->ndm_family != AF_INET) return std::nullopt;
    NeighbourNews news;
    news.key.ifindex = static_cast<unsigned>(body->ndm_ifindex);
    news.nud = message.nlmsg_type == RTM_DELNEIGH ? static_cast<std::uint16_t>(NUD_NONE) : body->ndm_state;
    for_each_attribute(message, sizeof(ndmsg), [&news](NetlinkAttribute attribute) {
        if (attribute.type() == NDA_DST && attribute.has_size(sizeof(news.key.address)))
            news.key.address = attribute.u32();
        if (attribute.type() == NDA_LLADDR && attribute.has_size(sizeof(MacAddress)))
            std::memcpy(news.mac.emplace().data(), attribute.payload(), sizeof(MacAddress));
    });
    return news;
}

/// Starts resolution of a missing or failed entry and confirmation of a stale one; leaves any other as
/// it is. Only a permanent entry would suffer (it would become an ordinary one), and is never due.
std::expected<void, int> ask_for_neighbour(NetlinkSocket &socket, const NeighbourKey &key) {
    NetlinkRequest request(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE);
    auto &body = request.body<ndmsg>();
    body.ndm_family = AF_INET;
    body.ndm_ifindex = static_cast<int>(key.ifindex);
    body.ndm_state = NUD_NONE;
    body.ndm_flags = NTF_USE;
    request.put_u32(NDA_DST, key.address);
    return socket.request(request);
}

std::string explain(std::string_view action, int number) {
    const char *mend = number == EPERM     ? " (needs CAP_NET_ADMIN)"
                       : number == ENOBUFS ? " (raise net.ipv4.neigh.default.gc_thresh3)"
                                           : "";
    return fmt::format("cannot {}: {}{}", action, std::strerror(number), mend);
}

} // namespace

/// The thread and its sockets; `table_` and what follows it are shared under `mutex_`, and no lock is
/// held across a system call.
class NextHopResolver::Loop {
  public:
    Loop(NetlinkSocket events, NetlinkSocket queries, OnChange on_change, ResolverOptions options)
        : events_(std::move(events)), queries_(std::move(queries)), on_change_(std::move(on_change)),
          options_(options), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          table_(options.retry_first, options.retry_max), thread_([this] { run(); }) {}
    ~Loop() {
        stopping_ = true;
        ::eventfd_write(wake_, 1);
        thread_.join();
        ::close(wake_);
    }

    void set_targets(const std::vector<wire::Be32> &addresses);
    bool settle(std::chrono::milliseconds patience) const;
    template <class Read> auto read(Read read) const {
        const std::lock_guard lock(mutex_);
        return read(table_);
    }
    std::string trouble() const {
        const std::lock_guard lock(mutex_);
        return trouble_;
    }
    std::uint64_t wakeups() const { return wakeups_; }

  private:
    void run();
    void wait() const;
    void read_events();
    void on_event(const nlmsghdr &message);
    void read_everything();
    void look_up_routes();
    void dump_links();
    void dump_neighbours();
    void ask_for_neighbours();
    void tell_changes();
    void note(std::string_view action, const std::expected<void, int> &done);
    [[nodiscard]] bool is_read_due(Clock::time_point now) const;
    [[nodiscard]] Clock::time_point next_wakeup() const;

    NetlinkSocket events_;
    NetlinkSocket queries_;
    const OnChange on_change_;
    const ResolverOptions options_;
    const int wake_;
    std::atomic<bool> stopping_ = false;
    std::atomic<std::uint64_t> wakeups_ = 0;

    // The thread's own.
    bool routes_changed_ = false;
    Clock::time_point read_at_{};                    ///< when everything was last read
    std::optional<Clock::time_point> tell_at_;       ///< a change waits for its burst to end

    mutable std::mutex mutex_;
    mutable std::condition_variable answered_;
    HopTable table_;
    bool has_new_targets_ = false;
    std::string trouble_;

    std::thread thread_; ///< last: it uses all of the above
};

void NextHopResolver::Loop::set_targets(const std::vector<wire::Be32> &addresses) {
    const std::lock_guard lock(mutex_);
    if (!table_.set_targets(addresses)) return;
    has_new_targets_ = true;
    ::eventfd_write(wake_, 1);
}

bool NextHopResolver::Loop::settle(std::chrono::milliseconds patience) const {
    std::unique_lock lock(mutex_);
    return answered_.wait_for(lock, patience, [this] { return table_.all_answered(); });
}

void NextHopResolver::Loop::run() {
    while (!stopping_) {
        wait();
        ++wakeups_;
        read_events();
        if (is_read_due(Clock::now())) read_everything();
        ask_for_neighbours();
        tell_changes();
    }
}

void NextHopResolver::Loop::wait() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_wakeup() - Clock::now()).count();
    pollfd polled[2] = {{events_.descriptor(), POLLIN, 0}, {wake_, POLLIN, 0}};
    ::poll(polled, 2, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
    eventfd_t ignored;
    ::eventfd_read(wake_, &ignored);
}

Clock::time_point NextHopResolver::Loop::next_wakeup() const {
    const std::lock_guard lock(mutex_);
    Clock::time_point next = read_at_ + (routes_changed_ ? options_.lookup_gap : options_.resync);
    if (tell_at_) next = std::min(next, *tell_at_);
    if (const auto due = table_.next_due()) next = std::min(next, *due);
    return has_new_targets_ ? Clock::now() : next;
}

bool NextHopResolver::Loop::is_read_due(Clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    return has_new_targets_ || now - read_at_ >= options_.resync ||
           (routes_changed_ && now - read_at_ >= options_.lookup_gap);
}

void NextHopResolver::Loop::read_events() {
    const auto outcome = events_.receive_events([this](const nlmsghdr &message) { on_event(message); });
    if (outcome == NetlinkSocket::Events::kOverrun) routes_changed_ = true; // reads all, the neighbours too
}

void NextHopResolver::Loop::on_event(const nlmsghdr &message) {
    const auto now = Clock::now();
    switch (message.nlmsg_type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
        if (const auto news = read_neighbour(message)) {
            const std::lock_guard lock(mutex_);
            table_.on_neighbour(*news, now);
        }
        break;
    case RTM_NEWLINK:
    case RTM_DELLINK: {
        const auto *link = static_cast<const ifinfomsg *>(mnl_nlmsg_get_payload(&message));
        const bool running = message.nlmsg_type == RTM_NEWLINK && (link->ifi_flags & IFF_RUNNING) != 0;
        const std::lock_guard lock(mutex_);
        table_.on_link(static_cast<unsigned>(link->ifi_index), running, now);
        routes_changed_ = true; // the routes of a link that went down vanish without an event of their own
        break;
    }
    default: // a route, a rule, an address, a next hop object
        routes_changed_ = true;
    }
}

/// In this order, so that a route's neighbour is known to be wanted when the neighbours are read. What
/// changes meanwhile comes as an event after it.
void NextHopResolver::Loop::read_everything() {
    routes_changed_ = false;
    read_at_ = Clock::now();
    {
        const std::lock_guard lock(mutex_);
        trouble_.clear();
    }
    dump_links();
    look_up_routes();
    dump_neighbours();
}

void NextHopResolver::Loop::dump_links() {
    NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
    request.body<ifinfomsg>().ifi_family = AF_UNSPEC;
    note("list the links", queries_.request(request, [this](const nlmsghdr &message) {
        const auto *link = static_cast<const ifinfomsg *>(mnl_nlmsg_get_payload(&message));
        const std::lock_guard lock(mutex_);
        table_.on_link(static_cast<unsigned>(link->ifi_index), (link->ifi_flags & IFF_RUNNING) != 0, Clock::now());
    }));
}

void NextHopResolver::Loop::look_up_routes() {
    std::vector<wire::Be32> addresses;
    {
        const std::lock_guard lock(mutex_);
        has_new_targets_ = false;
        addresses = table_.targets();
    }
    for (const wire::Be32 address : addresses) {
        const auto route = look_up_route(queries_, address);
        if (!route) {
            note("look up a route", std::unexpected(route.error()));
            continue;
        }
        const std::lock_guard lock(mutex_);
        table_.on_route(address, *route, Clock::now());
    }
}

void NextHopResolver::Loop::dump_neighbours() {
    std::vector<NeighbourNews> dump;
    NetlinkRequest request(RTM_GETNEIGH, NLM_F_DUMP);
    request.body<ndmsg>().ndm_family = AF_INET;
    const auto done = queries_.request(request, [&dump](const nlmsghdr &message) {
        if (const auto news = read_neighbour(message)) dump.push_back(*news);
    });
    note("list the neighbours", done);
    if (!done) return;
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    table_.begin_dump();
    for (const NeighbourNews &news : dump) table_.on_neighbour(news, now);
    table_.end_dump(now);
}

void NextHopResolver::Loop::ask_for_neighbours() {
    std::vector<NeighbourKey> due;
    {
        const std::lock_guard lock(mutex_);
        due = table_.take_due(Clock::now());
    }
    for (const NeighbourKey &key : due) note("make the kernel resolve a neighbour", ask_for_neighbour(queries_, key));
}

void NextHopResolver::Loop::note(std::string_view action, const std::expected<void, int> &done) {
    if (done) return;
    const std::lock_guard lock(mutex_);
    trouble_ = explain(action, done.error());
}

void NextHopResolver::Loop::tell_changes() {
    const auto now = Clock::now();
    {
        const std::lock_guard lock(mutex_);
        if (table_.take_changed() && !tell_at_) tell_at_ = now + options_.settle;
        answered_.notify_all();
    }
    if (!tell_at_ || now < *tell_at_) return;
    tell_at_.reset();
    if (on_change_) on_change_();
}

NextHopResolver::NextHopResolver(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

NextHopResolver::~NextHopResolver() = default;

std::expected<std::unique_ptr<NextHopResolver>, Error> NextHopResolver::open(OnChange on_change,
                                                                             ResolverOptions options) {
    const auto refuse = [](int number) {
        return std::unexpected(error_of(fmt::format("cannot follow routes and neighbours: {}", std::strerror(number))));
    };
    auto events = NetlinkSocket::open();
    if (!events) return refuse(events.error());
    auto queries = NetlinkSocket::open();
    if (!queries) return refuse(queries.error());
    for (const unsigned group : {RTNLGRP_NEIGH, RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
                                 RTNLGRP_IPV4_IFADDR, RTNLGRP_NEXTHOP})
        if (auto joined = events->join(group); !joined && group != RTNLGRP_NEXTHOP) // since Linux 5.3
            return refuse(joined.error());
    return std::unique_ptr<NextHopResolver>(new NextHopResolver(
        std::make_unique<Loop>(std::move(*events), std::move(*queries), std::move(on_change), options)));
}

void NextHopResolver::set_targets(std::vector<wire::Be32> addresses) { loop_->set_targets(addresses); }

NextHop NextHopResolver::find(wire::Be32 address) const {
    return loop_->read([address](const HopTable &table) { return table.find(address); });
}

std::vector<std::pair<wire::Be32, NextHop>> NextHopResolver::hops() const {
    return loop_->read([](const HopTable &table) { return table.hops(); });
}

bool NextHopResolver::settle(std::chrono::milliseconds patience) const { return loop_->settle(patience); }

std::string NextHopResolver::trouble() const { return loop_->trouble(); }

std::uint64_t NextHopResolver::wakeups() const { return loop_->wakeups(); }

} // namespace fairlead::nexthop
