// SPDX-License-Identifier: Apache-2.0
/// `fairlead replay`: a capture through the real packet path, offline.
#pragma once

namespace CLI {
class App;
}

namespace fairlead::cli {

/// Adds the command to `app`; when it was chosen and has run, `exit_code` is 0 (done) or 1 (refused).
void add_replay_command(CLI::App &app, int &exit_code);

} // namespace fairlead::cli
