// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/drain_wait.hpp"

#include <algorithm>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "controlplane/cli/progress.hpp"
#include "controlplane/cli/table.hpp"
#include "controlplane/config/config.hpp"

namespace fairlead::cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll{500};
/// A worker's last burst before the drain may still be counted: empty is what is empty twice.
constexpr std::chrono::milliseconds kConfirm{100};

/// What the daemon says at one moment.
struct Look {
    std::string trouble;    ///< why the rest is unknown; empty: it is not
    std::uint64_t left = 0;   ///< connections
    std::uint64_t unsure = 0; ///< connections of its service that may be its

    [[nodiscard]] bool is_empty() const { return trouble.empty() && left == 0 && unsure == 0; }
    [[nodiscard]] std::string text() const {
        if (!trouble.empty()) return "an unknown number of connections left";
        std::string text = fmt::format("{} connections left", grouped(left));
        if (unsure > 0) text += fmt::format(", and perhaps some of {} that were found without their beginning", grouped(unsure));
        return text;
    }
};

Look look_at(const api::Answer<v1::BackendListReply> &reply, std::uint64_t generation) {
    if (!reply) return {.trouble = reply.error().error.format()};
    if (!reply->is_up()) return {.trouble = "the dataplane is down: " + reply->reason()};
    if (reply->generation() < generation) return {.trouble = "the dataplane does not run the drain yet"};
    return {.trouble = {}, .left = reply->backends(0).connections(), .unsure = reply->backends(0).unsure()};
}

/// Why waiting makes no sense any more; nothing: it does.
std::optional<api::CallFailure> end_of_wait(const api::Answer<v1::BackendListReply> &reply, const std::string &name) {
    using Kind = api::CallFailure::Kind;
    if (!reply && reply.error().kind == Kind::kRefused) return reply.error(); // it was removed
    if (reply && !reply->backends(0).drain()) return api::CallFailure{Kind::kRefused, error_of(name + " was put back meanwhile")};
    return std::nullopt;
}

} // namespace

void wait_until_empty(Session &session, const std::string &service, const std::string &address, std::uint64_t generation,
                      std::chrono::seconds deadline) {
    const std::string name = fmt::format("{} of {}", address, service);
    v1::BackendListRequest request;
    request.set_service(service);
    request.set_address(address);
    const Clock::time_point end = Clock::now() + deadline;
    Progress progress;
    for (bool was_empty = false;;) {
        const auto reply = session.client().backend_list(request);
        if (const auto failure = end_of_wait(reply, name)) {
            progress.clear();
            return session.fail(*failure);
        }
        const Look look = look_at(reply, generation);
        const bool is_empty = look.is_empty();
        if (is_empty && was_empty) {
            progress.clear();
            fmt::print("{} has no connections left\n", name);
            return;
        }
        progress.trouble(look.trouble);
        const Clock::time_point now = Clock::now();
        if (now >= end && !is_empty) {
            const std::string waited = config::format_duration_s(static_cast<std::uint32_t>(deadline.count()));
            progress.clear();
            session.fail(error_of(fmt::format("{} has {} after {}", name, look.text(), waited),
                                  "wait again, or remove it with --force"));
            if (!reply) session.exit_code = kUnreachable;
            return;
        }
        if (look.trouble.empty()) progress.show(fmt::format("{}: {}", name, look.text()));
        was_empty = is_empty;
        std::this_thread::sleep_for(is_empty ? kConfirm : std::min<Clock::duration>(kPoll, end - now)); // empty at the deadline: once more
    }
}

} // namespace fairlead::cli
