// SPDX-License-Identifier: Apache-2.0
/// An interface that this process alone is to use with AF_XDP: DPDK's driver, where it fails to get it, takes off whatever
/// XDP program is there. So who else uses it is found out before.
///
/// Against another generator it is a lock: an abstract Unix socket, which is of the network namespace, as the interface is,
/// and ends with the process. Against anybody else it is a look at the program that is attached.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"

#include <string>

namespace fairlead::pktgen {

class InterfaceClaim {
  public:
    /// Refuses where another generator is at work or a program is attached, but for what a killed generator left, which
    /// DPDK's driver takes over. Changes nothing.
    [[nodiscard]] static io::Result<InterfaceClaim> make(const std::string &interface);

  private:
    explicit InterfaceClaim(io::Descriptor lock) : lock_(std::move(lock)) {}
    io::Descriptor lock_;
};

} // namespace fairlead::pktgen
