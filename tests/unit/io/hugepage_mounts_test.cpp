// SPDX-License-Identifier: Apache-2.0
// Real mounts, in a mount namespace of the test's own: they take no pages until something is in them.
#include "dataplane/io/hugepage_mounts.hpp"

#include "dataplane/io/descriptor.hpp"
#include "tests/unit/io/machine_files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fairlead::io {
namespace {

namespace fs = std::filesystem;
using test::kMegabyte;

/// This thread's mounts are its own meanwhile.
class OwnMounts {
  public:
    OwnMounts() : where_(fs::current_path()), before_(::open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC)) {
        entered_ = before_ && ::unshare(CLONE_FS | CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }
    ~OwnMounts() {
        if (entered_ && ::setns(before_.get(), CLONE_NEWNS) == 0) fs::current_path(where_);
    }
    OwnMounts(const OwnMounts &) = delete;
    OwnMounts &operator=(const OwnMounts &) = delete;
    [[nodiscard]] bool entered() const { return entered_; }

  private:
    fs::path where_; // entering a mount namespace leads to its root
    Descriptor before_;
    bool entered_ = false;
};

TEST(HugepageMounts, AreThoseThatCanBeWrittenToSmallestPagesFirst) {
    const OwnMounts mounts;
    if (!mounts.entered()) GTEST_SKIP() << "needs root for a mount namespace of its own: " << std::strerror(errno);
    const test::TemporaryDirectory root;
    const auto mount = [&](const char *name, const char *options) {
        fs::create_directory(root.path() / name);
        return ::mount("hugetlbfs", (root.path() / name).c_str(), "hugetlbfs", 0, options) == 0;
    };
    if (!mount("large", "pagesize=1G,mode=0755") || !mount("small", "pagesize=2M,mode=0755") || !mount("limited", "pagesize=2M,size=64M"))
        GTEST_SKIP() << "this kernel has no hugepages of both sizes";
    ASSERT_TRUE(mount("hidden", "pagesize=2M"));
    ASSERT_EQ(::mount("tmpfs", (root.path() / "hidden").c_str(), "tmpfs", 0, nullptr), 0);
    fs::create_directory(root.path() / "bound");
    ASSERT_EQ(::mount((root.path() / "small").c_str(), (root.path() / "bound").c_str(), nullptr, MS_BIND, nullptr), 0);
    const auto found = [&] {
        auto all = hugepage_mounts();
        std::erase_if(all, [&](const HugepageMount &each) { return !each.directory.string().starts_with(root.path().string()); });
        return all;
    };
    auto all = found();
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].directory, root.path() / "small");
    EXPECT_EQ(all[0].page_bytes, 2 * kMegabyte);
    EXPECT_EQ(all[0].bytes_granted, ~std::size_t{0});
    EXPECT_EQ(all[1].directory, root.path() / "limited");
    EXPECT_EQ(all[1].bytes_granted, 64 * kMegabyte);
    EXPECT_EQ(all[2].directory, root.path() / "large");
    EXPECT_EQ(all[2].page_bytes, 1024 * kMegabyte);
    for (const char *name : {"bound", "small", "limited", "large"}) ::umount((root.path() / name).c_str());
    ::umount((root.path() / "hidden").c_str());
    ::umount((root.path() / "hidden").c_str());
}

} // namespace
} // namespace fairlead::io
