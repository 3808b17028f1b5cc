// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/node_ends.hpp"

#include <fmt/format.h>

#include "controlplane/cli/table.hpp"

namespace fairlead::cli {

namespace {

constexpr const char *kSeeStatus = "see fairlead status";

} // namespace

std::string traffic_of(const v1::NodeProgress &word) {
    return fmt::format("{:.1f} packets a second, {} connections known", word.packets_per_second(), grouped(word.connections()));
}

std::string end_of_drain(const v1::NodeProgress &last, bool keeps_running) {
    const char *stopped = keeps_running ? "it runs on" : "dataplane and fairleadd have stopped";
    if (!last.is_at_deadline()) return fmt::format("drained: {}; {}", traffic_of(last), stopped);
    if (last.text().empty()) return fmt::format("stopped at the deadline with {}; {}", traffic_of(last), stopped);
    return fmt::format("stopped at the deadline with an unknown number of packets ({}); {}", last.text(), stopped);
}

Error interrupted_drain(v1::NodeProgress::Phase phase) {
    switch (phase) {
    case v1::NodeProgress::PHASE_WITHDRAWING:
        return error_of("interrupted: the command runs on, and the node is not stopped", std::string(kSeeStatus) + "; fairlead node announce puts it back");
    case v1::NodeProgress::PHASE_WAITING:
        return error_of("interrupted: nothing more is waited for, and the node stays withdrawn and runs",
                        std::string(kSeeStatus) + "; fairlead node drain goes on, fairlead node announce puts it back");
    case v1::NodeProgress::PHASE_STOPPING:
    case v1::NodeProgress::PHASE_DONE: return error_of("interrupted: the stop goes on, of the dataplane and then of fairleadd", kSeeStatus);
    default: return error_of("interrupted", kSeeStatus);
    }
}

Error interrupted_announcement(v1::NodeProgress::Phase phase) {
    switch (phase) {
    case v1::NodeProgress::PHASE_WAITING: return error_of("interrupted: nothing more is waited for, and the node is not announced", kSeeStatus);
    case v1::NodeProgress::PHASE_ANNOUNCING: return error_of("interrupted: the command runs on", kSeeStatus);
    default: return error_of("interrupted", kSeeStatus);
    }
}

} // namespace fairlead::cli
