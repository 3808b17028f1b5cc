// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/runtime_directory.hpp"

#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

namespace fairlead::io {
namespace {

TEST(RuntimeDirectory, IsMadeAndRemoved) {
    const test::TemporaryDirectory root;
    const auto path = root.path() / "a" / "b";
    {
        const auto directory = RuntimeDirectory::take(path);
        ASSERT_TRUE(directory) << directory.error();
        EXPECT_TRUE(std::filesystem::is_directory(path));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(RuntimeDirectory, OfSomeoneElseStays) {
    const test::TemporaryDirectory root;
    { ASSERT_TRUE(RuntimeDirectory::take(root.path())); }
    EXPECT_TRUE(std::filesystem::is_empty(root.path()));
}

TEST(RuntimeDirectory, WithSomeoneElsesFileStays) {
    const test::TemporaryDirectory root;
    const auto path = root.path() / "run";
    {
        const auto directory = RuntimeDirectory::take(path);
        ASSERT_TRUE(directory) << directory.error();
        std::ofstream(path / "fairleadd.sock") << "";
    }
    EXPECT_TRUE(std::filesystem::exists(path / "fairleadd.sock"));
    EXPECT_FALSE(std::filesystem::exists(path / "dataplane.lock"));
}

TEST(RuntimeDirectory, HasOneOwnerAndNamesIt) {
    const test::TemporaryDirectory root;
    const auto first = RuntimeDirectory::take(root.path());
    ASSERT_TRUE(first) << first.error();
    const auto second = RuntimeDirectory::take(root.path());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().find("in use by process " + std::to_string(::getpid())), std::string::npos) << second.error();
}

TEST(RuntimeDirectory, OfAKilledProcessIsTakenOver) {
    const test::TemporaryDirectory root;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const auto directory = RuntimeDirectory::take(root.path());
        if (directory) ::raise(SIGKILL);
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_TRUE(std::filesystem::exists(root.path() / "dataplane.lock"));
    const auto directory = RuntimeDirectory::take(root.path());
    EXPECT_TRUE(directory) << directory.error();
}

TEST(RuntimeDirectory, ThatCannotBeIsAnError) { EXPECT_FALSE(RuntimeDirectory::take("/proc/fairlead")); }

} // namespace
} // namespace fairlead::io
