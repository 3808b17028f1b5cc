// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/segment_mapping.hpp"
#include "dataplane/io/segment_set.hpp"
#include "tests/unit/io/snapshot_sample.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace fairlead::io {
namespace {

using test::kAllSeals;
using test::memory_file;
using test::SnapshotSample;

TEST(SegmentMapping, ShowsASealedFile) {
    const auto bytes = SnapshotSample{}.rows();
    const auto mapping = SegmentMapping::map(memory_file(bytes).get());
    ASSERT_TRUE(mapping) << mapping.error();
    EXPECT_TRUE(std::ranges::equal(mapping->bytes(), bytes));
}

TEST(SegmentMapping, RefusesAFileThatLacksAnySeal) {
    const auto bytes = SnapshotSample{}.rows();
    for (const int seal : {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL}) {
        const auto mapping = SegmentMapping::map(memory_file(bytes, kAllSeals & ~seal).get());
        ASSERT_FALSE(mapping) << seal;
        EXPECT_NE(mapping.error().find("not sealed"), std::string::npos);
    }
    EXPECT_FALSE(SegmentMapping::map(memory_file(bytes, 0).get()));
}

TEST(SegmentMapping, RefusesWhatIsNoMemoryFile) {
    const Descriptor file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(SegmentMapping::map(file.get()));
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_FALSE(SegmentMapping::map(socket.get()));
    EXPECT_FALSE(SegmentMapping::map(-1));
}

TEST(SegmentMapping, RefusesSizesThatNoSegmentHas) {
    EXPECT_FALSE(SegmentMapping::map(memory_file({}).get()));
    EXPECT_FALSE(SegmentMapping::map(memory_file(std::vector<std::byte>(63)).get()));
    const auto huge = memory_file({}, 0);
    ASSERT_EQ(::ftruncate(huge.get(), off_t{1} << 40), 0);
    ASSERT_EQ(::fcntl(huge.get(), F_ADD_SEALS, kAllSeals), 0);
    const auto mapping = SegmentMapping::map(huge.get());
    ASSERT_FALSE(mapping);
    EXPECT_NE(mapping.error().find("1099511627776 bytes"), std::string::npos) << mapping.error();
}

TEST(SegmentSet, TakesAndReplacesByIdAndLetsGo) {
    SegmentSet set;
    SnapshotSample sample;
    EXPECT_EQ(set.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    EXPECT_EQ(set.take(memory_file(sample.hops()).get(), sample.hops_id), "");
    sample.row_count = 13;
    EXPECT_EQ(set.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    ASSERT_EQ(set.size(), 2U);
    EXPECT_EQ(set.checked()[0].count, 13U);
    set.keep_only(std::vector<wire::u64>{sample.hops_id, 999});
    ASSERT_EQ(set.size(), 1U);
    EXPECT_EQ(set.checked()[0].id, sample.hops_id);
    EXPECT_EQ(set.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    EXPECT_EQ(set.size(), 2U);
}

TEST(SegmentSet, RefusesAnotherIdThanTheHeaders) {
    SegmentSet set;
    EXPECT_NE(set.take(memory_file(SnapshotSample{}.rows()).get(), 5), "");
    EXPECT_EQ(set.size(), 0U);
}

TEST(SegmentSet, RefusesAnyChangedByte) {
    const auto good = SnapshotSample{.row_count = 3}.rows();
    for (std::size_t place = 0; place < good.size(); ++place) {
        auto bad = good;
        bad[place] ^= std::byte{0x10};
        SegmentSet set;
        EXPECT_NE(set.take(memory_file(bad).get(), SnapshotSample{}.rows_id), "") << "byte " << place;
    }
}

TEST(SegmentSet, RefusesATruncatedSegment) {
    const auto good = SnapshotSample{}.rows();
    for (const std::size_t size : {good.size() - 1, good.size() - 2, good.size() / 2, sizeof(wire::SegmentHeader)}) {
        SegmentSet set;
        EXPECT_NE(set.take(memory_file(std::span(good).first(size)).get(), SnapshotSample{}.rows_id), "") << size;
    }
}

TEST(SegmentSet, IsBounded) {
    SegmentSet set;
    SnapshotSample sample{.row_count = 1};
    for (std::size_t i = 0; i < SegmentSet::kSegmentCountMax; ++i) {
        sample.rows_id = 1 + i;
        ASSERT_EQ(set.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    }
    sample.rows_id = 1 + SegmentSet::kSegmentCountMax;
    EXPECT_NE(set.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    sample.rows_id = 1;
    EXPECT_EQ(set.take(memory_file(sample.rows()).get(), sample.rows_id), "") << "replacing needs no room";
}

} // namespace
} // namespace fairlead::io
