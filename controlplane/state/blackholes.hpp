// SPDX-License-Identifier: Apache-2.0
/// The VIPs' blackholes in this host's kernel, brought up to date with the configuration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controlplane/config/config.hpp"

namespace fairlead::state {

/// One thread's: the controller's.
class Blackholes {
  public:
    explicit Blackholes(bool is_wanted) : is_wanted_(is_wanted) {}

    /// Blackholes the VIPs of `config`, and those of `also` while both generations may be running.
    void set(const config::Config &config, const config::Config *also);

    [[nodiscard]] bool are_whole() const { return vips_.has_value(); }
    /// Why they are not, a sentence each.
    [[nodiscard]] const std::vector<std::string> &warnings() const { return warnings_; }

  private:
    bool is_wanted_;
    std::optional<std::vector<wire::Be32>> vips_; ///< ascending; nothing: not all of them are
    std::vector<std::string> warnings_;
};

} // namespace fairlead::state
