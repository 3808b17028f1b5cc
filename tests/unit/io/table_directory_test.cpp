// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/table_directory.hpp"

#include "tests/unit/io/temporary_directory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>

namespace fairlead::io {
namespace {

using test::TemporaryDirectory;
namespace fs = std::filesystem;

class TableDirectoryTest : public testing::Test {
  protected:
    static constexpr TableShape shape(unsigned worker_count = 2, std::size_t lines = 100, const char *spread = "as ever") {
        return {.worker_count = worker_count, .compact_bytes = lines * 64, .wide_bytes = 2 * lines * 64, .spread = spread};
    }
    [[nodiscard]] TableDirectory directory(const char *runtime = "run") const { return {root_.path() / runtime, memory_.path()}; }
    [[nodiscard]] std::vector<fs::path> files() const {
        std::vector<fs::path> all;
        for (const auto &entry : fs::directory_iterator(memory_.path())) all.push_back(entry.path());
        return all;
    }
    /// A run that wrote one byte into each table, and ended.
    void run_once(const TableShape &with, const char *runtime = "run") {
        auto tables = directory(runtime).take(with, false);
        ASSERT_TRUE(tables) << tables.error();
        tables->keep();
        for (auto *part : {&tables->compact, &tables->wide})
            for (auto &table : *part) {
                table.header().key_digest = 5;
                table.bytes()[0] = std::byte{7};
            }
    }
    TemporaryDirectory root_;
    TemporaryDirectory memory_{"/dev/shm"};
};

TEST_F(TableDirectoryTest, MakesZeroedTablesForThisUserAlone) {
    const auto tables = directory().take(shape(), false);
    ASSERT_TRUE(tables) << tables.error();
    ASSERT_EQ(tables->compact.size(), 2U);
    EXPECT_FALSE(tables->has_found());
    EXPECT_EQ(tables->compact[1].bytes().size(), 6400U);
    EXPECT_EQ(tables->wide[1].bytes().size(), 12800U);
    EXPECT_TRUE(std::ranges::all_of(tables->wide[0].bytes(), [](std::byte b) { return b == std::byte{0}; }));
    for (const auto &file : files()) EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
}

TEST_F(TableDirectoryTest, AStartThatFailsLeavesNothing) {
    { ASSERT_TRUE(directory().take(shape(), false)); }
    EXPECT_TRUE(files().empty());
}

TEST_F(TableDirectoryTest, TheNextRunFindsEachWorkersTables) {
    run_once(shape());
    const auto tables = directory().take(shape(), false);
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_TRUE(tables->has_found());
    EXPECT_FALSE(tables->were_in_use) << "the run before has ended in order";
    EXPECT_TRUE(tables->inherited.empty());
    for (unsigned worker = 0; worker < 2; ++worker) {
        EXPECT_EQ(tables->compact[worker].header().worker, worker);
        EXPECT_EQ(tables->compact[worker].bytes()[0], std::byte{7});
        EXPECT_EQ(tables->wide[worker].bytes()[0], std::byte{7});
    }
}

TEST_F(TableDirectoryTest, AnotherShapeIsInherited) {
    for (const auto &other : {shape(1), shape(3), shape(2, 101), shape(2, 100, "another way")}) {
        run_once(shape());
        const auto tables = directory().take(other, false);
        ASSERT_TRUE(tables) << tables.error();
        EXPECT_FALSE(tables->has_found());
        EXPECT_EQ(tables->inherited.size(), 4U);
        EXPECT_EQ(tables->compact[0].bytes()[0], std::byte{0});
        directory().forget();
    }
}

TEST_F(TableDirectoryTest, DataplanesOfOtherRuntimeDirectoriesDoNotMeet) {
    run_once(shape(), "run");
    const auto tables = directory("elsewhere/run").take(shape(), false);
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_FALSE(tables->has_found());
    EXPECT_TRUE(tables->inherited.empty());
    directory("elsewhere/run").forget();
    EXPECT_EQ(files().size(), 4U + 4U) << "those in use stay, and those of the other";
}

TEST_F(TableDirectoryTest, TablesInUseAreLeftAlone) {
    run_once(shape());
    auto owner = directory().take(shape(), false);
    ASSERT_TRUE(owner && owner->has_found());
    const auto other = directory().take(shape(), false); // the same runtime directory in another mount namespace
    ASSERT_TRUE(other) << other.error();
    EXPECT_FALSE(other->has_found());
    EXPECT_EQ(files().size(), 8U);
    EXPECT_EQ(owner->compact[0].bytes()[0], std::byte{7});
}

TEST_F(TableDirectoryTest, WhatCannotBeUsedIsRemoved) {
    const auto spoil = [](TableHeader &header, int how) {
        if (how == 0) header.magic = 1;
        if (how == 1) header.layout = 77;
        if (how == 2) header.boot_id[0] = header.boot_id[0] == 'x' ? 'y' : 'x';
        if (how == 3) header.key_digest = 0;
        if (how == 4) header.line_count = 1U << 30;
        if (how == 5) header.kind = TableKind{9};
        if (how == 6) header.line_count = ~std::uint64_t{0};
    };
    for (int how = 0; how < 7; ++how) {
        run_once(shape(1));
        for (const auto &file : files()) {
            const Descriptor opened(::open(file.c_str(), O_RDWR));
            TableHeader header;
            ASSERT_EQ(::pread(opened.get(), &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
            spoil(header, how);
            ASSERT_EQ(::pwrite(opened.get(), &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
        }
        const auto tables = directory().take(shape(1), false);
        ASSERT_TRUE(tables) << tables.error();
        EXPECT_FALSE(tables->has_found()) << how;
        EXPECT_TRUE(tables->inherited.empty()) << how;
        EXPECT_EQ(files().size(), 2U) << how;
    }
}

TEST_F(TableDirectoryTest, FilesThatOthersCanWriteOrThatAreCutShortAreNoTables) {
    const std::function<void(const fs::path &)> spoilers[] = {
        [](const fs::path &file) { ::chmod(file.c_str(), 0666); },
        [](const fs::path &file) { fs::resize_file(file, 100); },
        [](const fs::path &file) { fs::resize_file(file, 0); },
        [](const fs::path &file) { fs::resize_file(file, fs::file_size(file) - 4096); },
        [](const fs::path &file) { fs::remove(file), fs::create_directory(file); },
    };
    for (const auto &spoil : spoilers) {
        run_once(shape(1));
        for (const auto &file : files()) spoil(file);
        const auto tables = directory().take(shape(1), false);
        ASSERT_TRUE(tables) << tables.error();
        EXPECT_FALSE(tables->has_found());
        EXPECT_TRUE(tables->inherited.empty());
        for (const auto &file : files())
            if (fs::is_directory(file)) fs::remove(file);
    }
}

TEST_F(TableDirectoryTest, ALinkUnderOurNamesLeadsNowhere) {
    run_once(shape());
    const std::string name = files().front().filename().string();
    const std::string base = name.substr(0, name.find('.') + 1);
    const fs::path victim = root_.path() / "victim";
    std::ofstream(victim) << "not a table";
    fs::create_symlink(victim, memory_.path() / (base + "x"));
    fs::create_symlink(root_.path() / "nothing", memory_.path() / (base + "y"));
    EXPECT_TRUE(directory().take(shape(), false));
    directory().forget();
    EXPECT_TRUE(fs::exists(victim));
}

TEST_F(TableDirectoryTest, TheSameDirectoryByAnotherNameIsTheSame) {
    run_once(shape());
    fs::create_directory_symlink(memory_.path(), root_.path() / "link");
    const auto tables = TableDirectory(root_.path() / "run", root_.path() / "link").take(shape(), false);
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_TRUE(tables->has_found());
    EXPECT_TRUE(tables->inherited.empty());
}

TEST_F(TableDirectoryTest, ADirectoryOnADiskIsRefused) {
    if (filesystem_of(root_.path()) != Filesystem::kDisk) GTEST_SKIP() << root_.path() << " is in memory";
    const auto tables = TableDirectory(root_.path() / "run", root_.path()).take(shape(), false);
    ASSERT_FALSE(tables);
    EXPECT_NE(tables.error().find("on a disk"), std::string::npos) << tables.error();
}

TEST_F(TableDirectoryTest, ForgettingRemovesAllOfThisRuntimeDirectory) {
    run_once(shape());
    EXPECT_GT(directory().left_bytes(), 2U * (6400 + 12800));
    directory().forget();
    EXPECT_TRUE(files().empty());
    EXPECT_EQ(directory().left_bytes(), 0U);
}

TEST(TableMemory, WhatDoesNotFitIsAnErrorAndLeavesNothing) {
    const TemporaryDirectory memory("/dev/shm");
    TableHeader header{};
    header.line_count = wire::u64{1} << 40;
    const auto table = TableMemory::create(memory.path() / "table", header);
    ASSERT_FALSE(table);
    EXPECT_NE(table.error().find("fewer --connections"), std::string::npos) << table.error();
    EXPECT_TRUE(fs::is_empty(memory.path()));
}

} // namespace
} // namespace fairlead::io
