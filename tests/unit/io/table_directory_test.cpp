// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/table_directory.hpp"

#include "dataplane/io/plan.hpp"
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
    static bool always(std::string_view) { return true; }
    /// In the first place that would be looked at.
    static Result<TableDirectory::Tables> take(const TableShape &with, const TableDirectory &from) {
        const auto places = from.places(with, false, always);
        if (!places) return std::unexpected(places.error());
        return from.take(with, places->front());
    }
    Result<TableDirectory::Tables> take(const TableShape &with) const { return take(with, directory()); }
    /// A run that wrote one byte into each table, and ended.
    void run_once(const TableShape &with, const char *runtime = "run") {
        auto tables = take(with, directory(runtime));
        ASSERT_TRUE(tables) << tables.error();
        tables->keep();
        for (auto *part : {&tables->compact, &tables->wide})
            for (auto &table : *part) {
                table.header().key_digest = 5;
                table.bytes()[0] = std::byte{7};
            }
    }
    using Found = std::vector<bool>;
    static Found none(unsigned worker_count) { return Found(2 * worker_count); }
    /// What a start with that shape would find.
    Found left(const TableShape &with, bool hugepages = false) const {
        return directory().places(with, hugepages, [&](std::string_view said) { return said == with.spread; }).value().front().is_there;
    }
    TemporaryDirectory root_;
    TemporaryDirectory memory_{"/dev/shm"};
};

TEST_F(TableDirectoryTest, MakesZeroedTablesForThisUserAlone) {
    const auto tables = take(shape());
    ASSERT_TRUE(tables) << tables.error();
    ASSERT_EQ(tables->compact.size(), 2U);
    EXPECT_FALSE(tables->has_found());
    EXPECT_EQ(tables->compact[1].bytes().size(), 6400U);
    EXPECT_EQ(tables->wide[1].bytes().size(), 12800U);
    EXPECT_TRUE(std::ranges::all_of(tables->wide[0].bytes(), [](std::byte b) { return b == std::byte{0}; }));
    for (const auto &file : files()) EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
}

TEST_F(TableDirectoryTest, AStartThatFailsLeavesNothing) {
    { ASSERT_TRUE(take(shape())); }
    EXPECT_TRUE(files().empty());
}

TEST_F(TableDirectoryTest, TheNextRunFindsEachWorkersTables) {
    run_once(shape());
    const auto tables = take(shape());
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
        const auto tables = take(other);
        ASSERT_TRUE(tables) << tables.error();
        EXPECT_FALSE(tables->has_found());
        EXPECT_EQ(tables->inherited.size(), 4U);
        EXPECT_EQ(tables->compact[0].bytes()[0], std::byte{0});
        directory().forget();
    }
}

TEST_F(TableDirectoryTest, DataplanesOfOtherRuntimeDirectoriesDoNotMeet) {
    run_once(shape(), "run");
    const auto tables = take(shape(), directory("elsewhere/run"));
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_FALSE(tables->has_found());
    EXPECT_TRUE(tables->inherited.empty());
    directory("elsewhere/run").forget();
    EXPECT_EQ(files().size(), 4U + 4U) << "those in use stay, and those of the other";
}

TEST_F(TableDirectoryTest, TablesInUseAreLeftAlone) {
    run_once(shape());
    auto owner = take(shape());
    ASSERT_TRUE(owner && owner->has_found());
    const auto other = take(shape()); // the same runtime directory in another mount namespace
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
        const auto tables = take(shape(1));
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
        const auto tables = take(shape(1));
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
    EXPECT_TRUE(take(shape()));
    directory().forget();
    EXPECT_TRUE(fs::exists(victim));
}

TEST_F(TableDirectoryTest, TheSameDirectoryByAnotherNameIsTheSame) {
    run_once(shape());
    fs::create_directory_symlink(memory_.path(), root_.path() / "link");
    const auto tables = take(shape(), TableDirectory(root_.path() / "run", root_.path() / "link"));
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_TRUE(tables->has_found());
    EXPECT_TRUE(tables->inherited.empty());
}

TEST_F(TableDirectoryTest, ADirectoryOnADiskIsRefused) {
    if (filesystem_of(root_.path()) != Filesystem::kDisk) GTEST_SKIP() << root_.path() << " is in memory";
    const auto tables = take(shape(), TableDirectory(root_.path() / "run", root_.path()));
    ASSERT_FALSE(tables);
    EXPECT_NE(tables.error().find("on a disk"), std::string::npos) << tables.error();
}

TEST_F(TableDirectoryTest, ForgettingRemovesAllOfThisRuntimeDirectory) {
    run_once(shape());
    directory().forget();
    EXPECT_TRUE(files().empty());
    EXPECT_EQ(left(shape()), none(2));
}

TEST_F(TableDirectoryTest, WhatTheNextRunTakesAsItIsIsThereBeforehand) {
    EXPECT_EQ(left(shape()), none(2));
    run_once(shape());
    EXPECT_EQ(left(shape()), Found(4, true));
    const auto tables = take(shape());
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_EQ(left(shape()), none(2)) << "a process has them";
}

TEST_F(TableDirectoryTest, WhatIsOnlyInheritedIsNotThere) {
    run_once(shape());
    EXPECT_EQ(left(shape(1)), none(1)) << "fewer workers";
    EXPECT_EQ(left(shape(3)), none(3)) << "more workers";
    EXPECT_EQ(left(shape(2, 200)), none(2)) << "--connections doubled: all is made anew, not half";
    EXPECT_EQ(left(shape(2, 50)), none(2)) << "--connections halved: the larger tables do not serve";
    EXPECT_EQ(left(shape(2, 100, "another way")), none(2)) << "as from the NIC of another node";
    EXPECT_EQ(left(shape(2, 100, "as ever"), true), Found(4, true)) << "where it is told to look, whichever memory DPDK has";
    const TemporaryDirectory other("/dev/shm");
    EXPECT_EQ(TableDirectory(root_.path() / "run", other.path()).places(shape(), false, always).value().front().is_there, none(2))
        << "another --table-directory";
}

TEST_F(TableDirectoryTest, WhatWasCountedOnAndIsNotTakenIsAskedForBeforeItIsMade) {
    Plan plan;
    plan.tables = shape(2, std::size_t{1} << 40);
    plan.left_count = 0;
    EXPECT_TRUE(check_left_tables(plan, directory())) << "nothing was counted on: asked for already";
    plan.left_count = 4;
    const auto lack = check_left_tables(plan, directory());
    ASSERT_FALSE(lack);
    EXPECT_NE(lack.error().find("an earlier run's connection tables do not fit this one: needs 402653185 MB of memory, "), std::string::npos) << lack.error();
    run_once(shape());
    plan.tables = shape();
    EXPECT_TRUE(check_left_tables(plan, directory())) << "taken as they are";
}

TEST_F(TableDirectoryTest, EachTableIsLookedForByItself) {
    run_once(shape());
    for (const auto &file : files())
        if (file.filename().string().find("wide-0-of-2") != std::string::npos) fs::remove(file);
    EXPECT_EQ(left(shape()), (Found{true, false, true, true}));
    auto wider = shape();
    wider.wide_bytes *= 2;
    EXPECT_EQ(left(wider), (Found{true, false, true, false}));
}

TEST_F(TableDirectoryTest, LookingTakesAndMakesNothing) {
    run_once(shape());
    EXPECT_EQ(TableDirectory(root_.path() / "run", memory_.path() / "nothing").places(shape(), false, always).value().front().is_there, none(2));
    EXPECT_FALSE(fs::exists(memory_.path() / "nothing"));
    left(shape());
    EXPECT_EQ(files().size(), 4U);
    const auto tables = take(shape());
    ASSERT_TRUE(tables) << tables.error();
    EXPECT_TRUE(tables->has_found());
}

TEST_F(TableDirectoryTest, WithHugepagesTheirMountsArePlacesSmallestPagesFirst) {
    const TemporaryDirectory small("/dev/shm"), large("/dev/shm"); // what of the mounts is known is told here
    constexpr std::size_t kSmall = 2U << 20, kLarge = 1U << 30;
    const TableDirectory mounted(root_.path() / "run", {}, {{small.path(), kSmall, TablePlace::kNoLimit}, {large.path(), kLarge, 5 * kLarge}});
    auto places = mounted.places(shape(), true, always).value();
    ASSERT_EQ(places.size(), 2U);
    EXPECT_EQ(places[0].directory, small.path());
    EXPECT_EQ(places[0].page_bytes, kSmall);
    EXPECT_EQ(places[1].directory, large.path());
    EXPECT_EQ(places[1].page_bytes, kLarge);
    EXPECT_EQ(places[1].bytes_free, 5 * kLarge);
    EXPECT_EQ(places[0].is_there, none(2));
    places = mounted.places(shape(), false, always).value();
    ASSERT_EQ(places.size(), 1U);
    EXPECT_EQ(places[0].page_bytes, 0U) << "not wanted";

    { // A run whose tables went to the second, since the first had too few.
        auto tables = mounted.take(shape(), mounted.places(shape(), true, always).value()[1]);
        ASSERT_TRUE(tables) << tables.error();
        EXPECT_EQ(tables->place, large.path());
        for (auto *part : {&tables->compact, &tables->wide})
            for (auto &table : *part) table.header().key_digest = 5;
        tables->keep();
    }
    places = mounted.places(shape(), true, always).value();
    EXPECT_EQ(places[0].directory, large.path()) << "a restart goes where its tables are";
    EXPECT_EQ(places[0].is_there, Found(4, true));
    EXPECT_EQ(places[1].is_there, none(2));
    const auto inheriting = mounted.take(shape(), places[1]);
    ASSERT_TRUE(inheriting) << inheriting.error();
    EXPECT_EQ(inheriting->inherited.size(), 4U) << "none is lost, whichever mount is taken";
}

TEST_F(TableDirectoryTest, WithoutAMountTablesGoWhereTheyWouldGoWithoutHugepages) {
    const TableDirectory unmounted(root_.path() / "run", {}, {});
    const auto with = unmounted.places(shape(), true, always).value(), without = unmounted.places(shape(), false, always).value();
    ASSERT_EQ(with.size(), 1U);
    EXPECT_EQ(with[0].page_bytes, 0U);
    EXPECT_EQ(with[0].directory, without.at(0).directory);
}

TEST_F(TableDirectoryTest, AChosenDirectorySaysWhatItsFilesystemHas) {
    const auto chosen = directory().places(shape(), true, always).value().at(0);
    EXPECT_EQ(chosen.directory, memory_.path());
    EXPECT_EQ(chosen.page_bytes, 0U);
    EXPECT_GT(chosen.bytes_free, 0U);
    EXPECT_FALSE(TableDirectory(root_.path() / "run", "/proc").places(shape(), true, always)) << "no memory";
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
