// SPDX-License-Identifier: Apache-2.0
/// What systemd is told of this process: that it forwards, with what, that it ends, and that none of its threads hangs.
///
/// The watchdog hears the main thread, and only when every worker has ended a loop since the last time: whichever thread hangs,
/// systemd ends the process and starts it again, and the connections are still there. Where nobody is to be told
/// (sd_notify(3): no NOTIFY_SOCKET) nothing is said.
#pragma once

#include "dataplane/io/generation_store.hpp"

#include <string>

namespace fairlead::io {

class ServiceNotifier {
  public:
    /// @param forwarding the part of the status that stays, such as "2 workers on 1 port".
    ServiceNotifier(GenerationStore &store, std::string forwarding);

    /// The workers run: whoever waits for this service goes on.
    void serves(wire::u64 now_ns);
    /// To be called at least once a second.
    void look(wire::u64 now_ns);
    void ends();

  private:
    void describe();
    void answer_watchdog(wire::u64 now_ns);

    GenerationStore &store_;
    std::string forwarding_;
    wire::u64 generation_told_ = 0;
    wire::u64 watchdog_period_ns_ = 0; ///< 0: there is none
    wire::u64 next_answer_ns_ = 0;
    wire::u64 grace_ = 0; ///< that every worker must have passed before the next answer
    bool is_hang_told_ = false;
};

} // namespace fairlead::io
