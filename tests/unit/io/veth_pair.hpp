// SPDX-License-Identifier: Apache-2.0
/// A veth pair in a network namespace of this process's own, which goes with the process: nothing to clean up.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "tests/unit/io/capture_file.hpp"

#include <array>
#include <cstddef>
#include <string>

namespace fairlead::io::test {

/// Moves this process into a new network namespace, once. False: it may not.
[[nodiscard]] bool enter_own_network();

class VethPair {
  public:
    /// @param name of the end that the dataplane takes, of at most 13 characters; the other is called NAME-p.
    explicit VethPair(const std::string &name);
    ~VethPair();
    VethPair(const VethPair &) = delete;
    VethPair &operator=(const VethPair &) = delete;

    [[nodiscard]] bool is_made() const { return made_; }
    [[nodiscard]] const std::string &name() const { return name_; }
    [[nodiscard]] unsigned index() const;
    [[nodiscard]] std::array<wire::u8, 6> mac() const; ///< of the dataplane's end

    bool send(FrameBytes frame) const; ///< into the other end, addressed to the dataplane's
    /// The next frame that came out of the other end with this destination; empty: none within a second.
    [[nodiscard]] FrameBytes receive(const std::array<wire::u8, 6> &destination) const;

  private:
    std::string name_;
    bool made_ = false;
    Descriptor socket_;
};

} // namespace fairlead::io::test
