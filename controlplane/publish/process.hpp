// SPDX-License-Identifier: Apache-2.0
/// Other processes, held by descriptors: who is at the other end of a socket, who has a lock, whether it has ended.
#pragma once

#include <chrono>
#include <string>

#include "controlplane/publish/descriptor.hpp"

namespace fairlead::publish {

/// Of the process that listens at the other end of a connected Unix socket: readable when that has ended, at once where it has
/// already. None where it is not to be seen from here.
[[nodiscard]] Descriptor peer_process(int socket);

/// Of the process that has a flock on this file: readable when that has ended. None: nobody has, or none that is to be seen.
/// The lock itself is not tried: whoever wants it at that moment would be refused. The file may begin with its holder's pid,
/// which tells files of one inode number apart where their filesystem's device does not.
[[nodiscard]] Descriptor lock_holder(const std::string &path);

/// Waits until a descriptor is readable, or its other end is gone; false: it was not by then.
[[nodiscard]] bool is_readable_until(int descriptor, std::chrono::steady_clock::time_point until);

} // namespace fairlead::publish
