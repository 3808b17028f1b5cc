// SPDX-License-Identifier: Apache-2.0
/// fairlead backend drain --wait
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "controlplane/cli/session.hpp"

namespace fairlead::cli {

/// Waits until a drained backend has no connection left, at most `deadline`, and says on stdout that it has
/// none. Otherwise the session's exit code and one line say why not: some are left, the backend was removed
/// or put back meanwhile, the daemon cannot be reached. While the dataplane or the daemon is down it waits on.
/// @param generation that has the drain: what an older one counts is no answer.
void wait_until_empty(Session &session, const std::string &service, const std::string &address, std::uint64_t generation,
                      std::chrono::seconds deadline);

} // namespace fairlead::cli
