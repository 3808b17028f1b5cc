// SPDX-License-Identifier: Apache-2.0
/// A file in the runtime directory that says that this node was taken out of routing: it outlives fairleadd, so that one that
/// is started again (an upgrade, a crash in mid-drain) knows, and ends with the machine. A route that the on-announce command makes
/// ends then, too: such a node is not announced after a reboot, though no mark says so (fairlead-announce.service).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "controlplane/error.hpp"

namespace fairlead::node {

class WithdrawnMark {
  public:
    explicit WithdrawnMark(std::string path) : path_(std::move(path)) {}

    /// Since when, in Unix time; 0: it does not say. Nothing: there is no mark.
    [[nodiscard]] std::optional<std::uint64_t> read() const;
    [[nodiscard]] std::expected<void, Error> set(std::uint64_t since_unix_s) const;
    [[nodiscard]] std::expected<void, Error> clear() const;

  private:
    std::string path_;
};

} // namespace fairlead::node
