// SPDX-License-Identifier: Apache-2.0
/// A PCI device as the kernel describes it, and whether DPDK can take it. Changes nothing.
#pragma once

#include "dataplane/io/result.hpp"

#include <filesystem>
#include <string>

namespace fairlead::io {

/// Where the kernel's views of the machine are mounted; tests have their own.
struct MachineRoot {
    std::filesystem::path sysfs = "/sys";
    std::filesystem::path devices = "/dev";
};

struct PciDevice {
    std::string address;
    std::string driver;   ///< the kernel's name of it; empty: none
    std::string group;    ///< of the IOMMU, its number; empty: it is in none
    int node = -1;        ///< NUMA node; -1: the machine says none

    /// The error says that there is none.
    [[nodiscard]] static Result<PciDevice> look_up(const std::string &address, const MachineRoot &root = {});

    /// Whether a process can take the device: bound to a driver for that, and its IOMMU group free and ours to open.
    /// The error says what is in the way and what to do.
    [[nodiscard]] Result<void> check_usable(const MachineRoot &root = {}) const;

  private:
    [[nodiscard]] Result<void> check_vfio(const MachineRoot &root) const;
    [[nodiscard]] Result<void> check_uio(const MachineRoot &root) const;
    [[nodiscard]] std::string neighbour_with_kernel(const MachineRoot &root) const;
};

} // namespace fairlead::io
