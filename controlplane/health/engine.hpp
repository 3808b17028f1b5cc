// SPDX-License-Identifier: Apache-2.0
/// Probes all backends, concurrently, on one thread (libcurl's multi interface), and says whose grade has changed.
///
/// What it owns: the thread, the sockets of the probes under way (at most kProbesUnderWayMax; what comes
/// due meanwhile waits) and the verdicts so far. Its sockets belong to the network namespace of the
/// thread that called open(). Public functions may be called from any thread and only take a short
/// lock. Each target's first probe begins at a random moment of its first interval and the later ones an
/// interval apart, so that a thousand targets are spread over it. A probe that takes longer than its
/// interval delays the next one: a target never has two under way.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/health/tally.hpp"
#include "controlplane/health/target.hpp"

namespace fairlead::health {

inline constexpr std::size_t kProbesUnderWayMax = 4096;

class Engine {
  public:
    /// Called from the engine's thread, without a lock, when found() has something new; must not destroy the engine.
    using OnFound = std::function<void()>;

    /// Errors: libcurl cannot be set up.
    [[nodiscard]] static std::expected<std::unique_ptr<Engine>, Error> open(OnFound on_found, std::shared_ptr<Tally> tally);
    ~Engine(); ///< gives up the probes under way
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;

    /// What to check from now on. A target that is as it was (Target::is_as) keeps its grade and its runs of
    /// verdicts; any other begins anew, with the grade that it is given.
    void set_targets(std::vector<Target> targets);

    /// The targets whose grade is not the one they began with, or has been another. Of targets as they were at
    /// some moment since the last but one set_targets(): compare before use.
    [[nodiscard]] std::vector<Found> found() const;

  private:
    class Loop;
    explicit Engine(std::unique_ptr<Loop> loop);
    std::unique_ptr<Loop> loop_;
};

} // namespace fairlead::health
