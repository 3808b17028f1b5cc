// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/scratch_directory.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace fairlead::pktgen {
namespace {

namespace fs = std::filesystem;

class ScratchDirectoryTest : public testing::Test {
  protected:
    ScratchDirectoryTest() {
        std::string path = (fs::temp_directory_path() / "scratch-test-XXXXXX").string();
        parent_ = ::mkdtemp(path.data());
    }
    ~ScratchDirectoryTest() override { fs::remove_all(parent_); }
    fs::path parent_;
};

TEST_F(ScratchDirectoryTest, IsRemovedWithAllInIt) {
    fs::path path;
    {
        const auto scratch = ScratchDirectory::make(parent_);
        ASSERT_TRUE(scratch) << scratch.error();
        path = scratch->path();
        EXPECT_EQ(path.parent_path(), parent_);
        fs::create_directories(path / "dpdk" / "rte");
    }
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(ScratchDirectoryTest, RemovesWhatKilledProcessesLeftAndNothingElse) {
    const auto living = ScratchDirectory::make(parent_);
    ASSERT_TRUE(living) << living.error();
    const auto left = parent_ / "fairlead-pktgen-abcdef";
    fs::create_directories(left / "dpdk" / "rte");
    const auto other = parent_ / "fairlead-pktgen-results";
    fs::create_directories(other);
    const auto link = parent_ / "fairlead-pktgen-linked";
    fs::create_directory_symlink(other, link);
    const auto file = parent_ / "fairlead-pktgen-a.file";
    std::ofstream(file) << "kept";
    const auto next = ScratchDirectory::make(parent_);
    ASSERT_TRUE(next) << next.error();
    EXPECT_FALSE(fs::exists(left));
    EXPECT_NE(next->path(), living->path());
    for (const auto &path : {living->path(), next->path(), other, link, file}) EXPECT_TRUE(fs::exists(path)) << path;
}

TEST_F(ScratchDirectoryTest, ThatCannotBeMadeIsAnError) {
    const auto scratch = ScratchDirectory::make(parent_ / "nowhere");
    ASSERT_FALSE(scratch);
    EXPECT_NE(scratch.error().find("No such file"), std::string::npos) << scratch.error();
}

} // namespace
} // namespace fairlead::pktgen
