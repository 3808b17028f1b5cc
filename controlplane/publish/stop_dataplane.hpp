// SPDX-License-Identifier: Apache-2.0
/// Ends the dataplane by its control socket, as SIGTERM would: connection tables and the last generation stay for the next.
#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "controlplane/error.hpp"

namespace fairlead::publish {

/// Returns when the dataplane's process has ended, or where there is none, and none has begun for a second. Waits at most
/// `deadline` for its end.
/// Errors: it cannot be asked, it knows no such message (an older version), it has not ended in time, it was started again.
[[nodiscard]] std::expected<void, Error> stop_dataplane(const std::string &socket_path, std::chrono::milliseconds deadline);

} // namespace fairlead::publish
