// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/pci_device.hpp"

#include "dataplane/io/descriptor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

namespace fairlead::io {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVfio = "vfio-pci";
constexpr std::array<std::string_view, 2> kUio{"uio_pci_generic", "igb_uio"};
// These keep their kernel side: DPDK works beside them.
constexpr std::array<std::string_view, 3> kBifurcated{"mlx5_core", "mlx4_core", "mana"};

fs::path directory_of(const MachineRoot &root, const std::string &address) { return root.sysfs / "bus/pci/devices" / address; }

std::string link_name(const fs::path &link) {
    std::error_code error;
    return fs::read_symlink(link, error).filename().string();
}

bool has(std::span<const std::string_view> names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

} // namespace

Result<PciDevice> PciDevice::look_up(const std::string &address, const MachineRoot &root) {
    const auto directory = directory_of(root, address);
    std::error_code error;
    if (!fs::exists(directory, error)) return std::unexpected("no such PCI device; lspci -D lists them");
    PciDevice device{.address = address, .driver = link_name(directory / "driver"), .group = link_name(directory / "iommu_group")};
    std::ifstream(directory / "numa_node") >> device.node;
    return device;
}

Result<void> PciDevice::check_usable(const MachineRoot &root) const {
    if (driver == kVfio) return check_vfio(root);
    if (has(kUio, driver)) return check_uio(root);
    if (has(kBifurcated, driver)) return {};
    return std::unexpected(fmt::format("needs a driver such as vfio-pci, has {}; scripts/host.sh bind {}",
                                       driver.empty() ? "none" : "the kernel's " + driver, address));
}

Result<void> PciDevice::check_vfio(const MachineRoot &root) const {
    const auto refuse = [](std::string why) { return std::unexpected(std::move(why)); };
    std::error_code error;
    const auto container = root.devices / "vfio/vfio";
    if (!fs::exists(container, error)) return refuse(fmt::format("needs {}, which is missing; modprobe vfio-pci", container.string()));
    if (group.empty()) return refuse("needs an IOMMU group, is in none; boot with intel_iommu=on or amd_iommu=on");
    auto path = root.devices / "vfio" / group;
    const auto unprotected = root.devices / "vfio" / ("noiommu-" + group);
    const bool has_iommu = !fs::exists(unprotected, error);
    if (!has_iommu) path = unprotected;
    const Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!file && errno == EBUSY) return refuse(fmt::format("needs {}, which another process has; is another dataplane running on it?", path.string()));
    if (!file && (errno == EACCES || errno == EPERM)) return refuse(fmt::format("needs to read and write {}, may not; {}", path.string(),
                                                                                       has_iommu ? "run as root, or chown it"
                                                                                                 : "without an IOMMU that takes CAP_SYS_RAWIO: run as root"));
    if (!file) return refuse(fmt::format("needs {}: {}", path.string(), std::strerror(errno)));
    vfio_group_status status{.argsz = sizeof(vfio_group_status), .flags = 0};
    if (::ioctl(file.get(), VFIO_GROUP_GET_STATUS, &status) != 0 || (status.flags & VFIO_GROUP_FLAGS_VIABLE) != 0) return {};
    return refuse(fmt::format("needs all of IOMMU group {}, but {}; bind that to vfio-pci, too", group, neighbour_with_kernel(root)));
}

/// DPDK switches on bus mastering and maps the registers by files in sysfs, which are root's; so are the physical addresses that it needs.
Result<void> PciDevice::check_uio(const MachineRoot &root) const {
    std::error_code error;
    fs::path file;
    for (const auto &entry : fs::directory_iterator(directory_of(root, address) / "uio", error)) file = root.devices / entry.path().filename();
    if (file.empty()) return std::unexpected(fmt::format("needs a uio device, {} has made none; see dmesg", driver));
    for (const auto &path : {file, directory_of(root, address) / "config"})
        if (const Descriptor opened(::open(path.c_str(), O_RDWR | O_CLOEXEC)); !opened)
            return std::unexpected(fmt::format("needs to read and write {}: {}; {} wants root and a /sys that can be written, vfio-pci does not", path.string(),
                                               std::strerror(errno), driver));
    return {};
}

/// Which device of the group the kernel uses.
std::string PciDevice::neighbour_with_kernel(const MachineRoot &root) const {
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(root.sysfs / "kernel/iommu_groups" / group / "devices", error)) {
        const auto neighbour = entry.path().filename().string();
        const auto its_driver = link_name(directory_of(root, neighbour) / "driver");
        if (!its_driver.empty() && its_driver != kVfio && its_driver != "pcieport") return fmt::format("{} is bound to the kernel's {}", neighbour, its_driver);
    }
    return "the kernel uses a device of it";
}

} // namespace fairlead::io
