// SPDX-License-Identifier: Apache-2.0
// What stands between a NIC and DPDK, as sysfs and /dev show it. The kernel's side is files; what vfio itself answers is tests/vm's.
#include "dataplane/io/pci_device.hpp"

#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace fairlead::io {
namespace {

namespace fs = std::filesystem;

constexpr const char *kAddress = "0000:03:00.0";

class PciDeviceTest : public testing::Test {
  protected:
    void add_device(const std::string &driver, const std::string &group, const std::string &node = "1") {
        const auto directory = root_.sysfs / "bus/pci/devices" / kAddress;
        fs::create_directories(directory);
        if (!driver.empty()) fs::create_symlink("../../drivers/" + driver, directory / "driver");
        if (!group.empty()) fs::create_symlink("../../../kernel/iommu_groups/" + group, directory / "iommu_group");
        std::ofstream(directory / "numa_node") << node << '\n';
    }
    void add_file(const fs::path &path, fs::perms perms = fs::perms::owner_read | fs::perms::owner_write) {
        fs::create_directories(path.parent_path());
        std::ofstream(path) << "";
        fs::permissions(path, perms);
    }
    std::string obstacle() {
        const auto device = PciDevice::look_up(kAddress, root_);
        if (!device) return device.error();
        const auto usable = device->check_usable(root_);
        return usable ? "" : usable.error();
    }
    /// As a user who may not open what is root's.
    std::string obstacle_as_nobody() {
        const bool is_root = ::geteuid() == 0; // and may open everything
        constexpr auto kEnter = fs::perms::group_exec | fs::perms::others_exec; // the group stays root's
        fs::permissions(directory_.path(), kEnter, fs::perm_options::add);
        for (const auto &entry : fs::recursive_directory_iterator(directory_.path()))
            if (entry.is_directory() && !entry.is_symlink()) fs::permissions(entry.path(), kEnter, fs::perm_options::add);
        if (is_root && ::seteuid(65534) != 0) return "cannot become nobody";
        const auto said = obstacle();
        if (is_root && ::seteuid(0) != 0) return "cannot become root again";
        return said;
    }

    test::TemporaryDirectory directory_;
    MachineRoot root_{.sysfs = directory_.path() / "sys", .devices = directory_.path() / "dev"};
};

TEST_F(PciDeviceTest, IsReadFromSysfs) {
    add_device("vfio-pci", "7");
    const auto device = PciDevice::look_up(kAddress, root_);
    ASSERT_TRUE(device) << device.error();
    EXPECT_EQ(device->driver, "vfio-pci");
    EXPECT_EQ(device->group, "7");
    EXPECT_EQ(device->node, 1);
}

TEST_F(PciDeviceTest, OneThatIsNotThereIsAnError) { EXPECT_EQ(obstacle(), "no such PCI device; lspci -D lists them"); }

TEST_F(PciDeviceTest, TheKernelsOwnDriverIsInTheWay) {
    add_device("e1000e", "7");
    EXPECT_EQ(obstacle(), "needs a driver such as vfio-pci, has the kernel's e1000e; scripts/host.sh bind 0000:03:00.0");
}

TEST_F(PciDeviceTest, NoDriverIsNoneToUse) {
    add_device("", "7");
    EXPECT_EQ(obstacle(), "needs a driver such as vfio-pci, has none; scripts/host.sh bind 0000:03:00.0");
}

TEST_F(PciDeviceTest, VfioThatIsMissingIsNamed) {
    add_device("vfio-pci", "7");
    EXPECT_EQ(obstacle(), "needs " + (root_.devices / "vfio/vfio").string() + ", which is missing; modprobe vfio-pci");
}

TEST_F(PciDeviceTest, WithoutAnIommuVfioCannotBeUsed) {
    add_device("vfio-pci", "");
    add_file(root_.devices / "vfio/vfio");
    EXPECT_EQ(obstacle(), "needs an IOMMU group, is in none; boot with intel_iommu=on or amd_iommu=on");
}

TEST_F(PciDeviceTest, AGroupWithoutItsFileIsNamed) {
    add_device("vfio-pci", "7");
    add_file(root_.devices / "vfio/vfio");
    EXPECT_EQ(obstacle(), "needs " + (root_.devices / "vfio/7").string() + ": No such file or directory");
}

TEST_F(PciDeviceTest, AGroupThatIsNotOursToOpenIsNamed) {
    add_device("vfio-pci", "7");
    add_file(root_.devices / "vfio/vfio");
    add_file(root_.devices / "vfio/7", fs::perms::none);
    EXPECT_EQ(obstacle_as_nobody(), "needs to read and write " + (root_.devices / "vfio/7").string() + ", may not; run as root, or chown it");
}

TEST_F(PciDeviceTest, WithoutAnIommuAGroupThatIsNotOursToOpenTakesRoot) {
    add_device("vfio-pci", "7");
    add_file(root_.devices / "vfio/vfio");
    add_file(root_.devices / "vfio/noiommu-7", fs::perms::none);
    EXPECT_EQ(obstacle_as_nobody(), "needs to read and write " + (root_.devices / "vfio/noiommu-7").string() +
                                        ", may not; without an IOMMU that takes CAP_SYS_RAWIO: run as root");
}

TEST_F(PciDeviceTest, AGroupThatOpensIsUsable) {
    add_device("vfio-pci", "7");
    add_file(root_.devices / "vfio/vfio");
    add_file(root_.devices / "vfio/7");
    EXPECT_EQ(obstacle(), "");
}

TEST_F(PciDeviceTest, DriversBesideTheKernelsAreUsable) {
    add_device("mlx5_core", "7");
    EXPECT_EQ(obstacle(), "");
}

TEST_F(PciDeviceTest, AMachineThatNamesNoNodeHasNone) {
    add_device("uio_pci_generic", "", "-1");
    EXPECT_EQ(PciDevice::look_up(kAddress, root_)->node, -1);
}

TEST_F(PciDeviceTest, UioNeedsItsDeviceAndTheConfigurationSpace) {
    add_device("uio_pci_generic", "");
    const auto device = root_.sysfs / "bus/pci/devices" / kAddress;
    EXPECT_EQ(obstacle(), "needs a uio device, uio_pci_generic has made none; see dmesg");
    fs::create_directories(device / "uio/uio3");
    constexpr auto kEnd = "; uio_pci_generic wants root and a /sys that can be written, vfio-pci does not";
    EXPECT_EQ(obstacle(), "needs to read and write " + (root_.devices / "uio3").string() + ": No such file or directory" + kEnd);
    add_file(root_.devices / "uio3");
    EXPECT_EQ(obstacle(), "needs to read and write " + (device / "config").string() + ": No such file or directory" + kEnd);
    add_file(device / "config");
    EXPECT_EQ(obstacle(), "");
}

} // namespace
} // namespace fairlead::io
