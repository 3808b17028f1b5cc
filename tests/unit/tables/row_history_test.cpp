// SPDX-License-Identifier: Apache-2.0
//
// Alternates against a naive oracle: all tables of the list built from scratch, and walked.
#include "controlplane/tables/row_history.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <random>

#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

/// What a service goes through, small enough for the oracle: its members and both ways to their alternates.
class Service {
  public:
    explicit Service(std::uint32_t row_count) : row_count_(row_count) {}

    std::vector<Member> members;
    Algorithm algorithm = Algorithm::kRendezvous;

    void use() {
        rows_ = build(algorithm, members, row_count_, kSeed);
        const SetHistory before = list_;
        list_ = list_.with(backend_set(algorithm, row_count_, members));
        if (list_.sets().empty()) return;
        const bool is_empty = rows_.front() == wire::kNoSlot;
        if (history_ && history_->row_count() == row_count_ && is_empty) return; // nothing new to know
        if (history_ && !is_empty && history_->leads_to(list_)) {
            history_ = history_->after(list_, rows_, members);
            ++steps;
        } else if (list_.sets().size() == 1 && !is_empty) {
            history_ = RowHistory(list_, rows_, members);
        } else {
            history_ = RowHistory::rebuild(list_, row_count_, kSeed);
            ++rebuilds;
        }
    }
    void use_row_count(std::uint32_t row_count) {
        row_count_ = row_count;
        use();
    }

    [[nodiscard]] Alternates alternates(std::span<const Member> living) const {
        return history_ ? history_->alternates(rows_, living) : no_alternates(row_count_);
    }
    [[nodiscard]] Alternates rebuilt(std::span<const Member> living) const {
        return RowHistory::rebuild(list_, row_count_, kSeed).alternates(rows_, living);
    }
    [[nodiscard]] Alternates by_oracle(std::span<const Member> living) {
        std::map<Address, std::uint16_t> slots;
        for (const Member &member : living) slots.emplace(member.address, member.slot);
        Alternates result = no_alternates(row_count_);
        for (std::uint32_t row = 0; row < row_count_; ++row) {
            std::vector<std::uint16_t> found;
            for (const SharedBackendSet &set : list_.sets()) {
                const Rows &owners = table_of(*set);
                for (std::uint64_t old = 0; old * row_count_ < (std::uint64_t{row} + 1) * owners.size(); ++old) {
                    const bool is_shared = std::uint64_t{row} * owners.size() < (old + 1) * row_count_;
                    const auto slot = slots.find(set->members[owners[old]].address);
                    if (!is_shared || slot == slots.end() || slot->second == rows_[row]) continue;
                    if (std::ranges::find(found, slot->second) == found.end()) found.push_back(slot->second);
                }
            }
            for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), wire::kAlternateCount); ++i)
                result[row * wire::kAlternateCount + i] = found[i];
        }
        return result;
    }
    [[nodiscard]] const Rows &rows() const { return rows_; }
    [[nodiscard]] const SetHistory &list() const { return list_; }

    int steps = 0;
    int rebuilds = 0;

  private:
    const Rows &table_of(const BackendSet &set) {
        Rows &rows = tables_[set.digest];
        if (rows.empty()) rows = build(set.algorithm, numbered_members(set), set.row_count, kSeed);
        return rows;
    }

    std::uint32_t row_count_;
    Rows rows_;
    SetHistory list_;
    std::optional<RowHistory> history_;
    std::map<std::uint64_t, Rows> tables_;
};

/// All members, or all but some of them.
std::vector<Member> some_of(std::span<const Member> members, std::mt19937_64 &random) {
    std::vector<Member> living(members.begin(), members.end());
    if (random() % 2 == 0) std::erase_if(living, [&](const Member &) { return random() % 4 == 0; });
    std::ranges::shuffle(living, random);
    return living;
}

/// One random change; slots are never the numbers, so that mixing up the two is noticed.
void change(Service &service, std::mt19937_64 &random, std::vector<std::vector<Member>> &earlier) {
    const auto any = [&] { return random() % service.members.size(); };
    const auto number = static_cast<std::uint16_t>(random() % 24);
    switch (random() % 8) {
    case 0:
    case 1:
    case 2: {
        Member added = member(number, static_cast<std::uint32_t>(1 + random() % 3 * 50));
        added.slot = static_cast<std::uint16_t>(700 - 3 * number);
        if (std::ranges::find(service.members, added.address, &Member::address) == service.members.end())
            service.members.push_back(added);
        break;
    }
    case 3:
        if (!service.members.empty()) service.members.erase(service.members.begin() + static_cast<std::ptrdiff_t>(any()));
        break;
    case 4:
    case 5:
        if (!service.members.empty()) service.members[any()].weight = static_cast<std::uint32_t>(random() % 3 * 40);
        break;
    case 6:
        if (!earlier.empty()) service.members = earlier[random() % earlier.size()];
        break;
    case 7:
        if (random() % 8 == 0) service.algorithm = service.algorithm == Algorithm::kMaglev ? Algorithm::kRendezvous : Algorithm::kMaglev;
        break;
    }
    if (random() % 8 == 0) earlier.push_back(service.members);
}

TEST(RowHistory, NamesWhatTheOracleNamesByWhateverWay) {
    std::mt19937_64 random(21);
    int steps = 0, rebuilds = 0, full = 0;
    for (int round = 0; round < 4; ++round) {
        Service service(59);
        std::vector<std::vector<Member>> earlier;
        for (int step = 0; step < 200; ++step) {
            change(service, random, earlier);
            if (random() % 40 == 0) service.use_row_count(random() % 2 == 0 ? 59 : 97);
            else service.use();
            const std::vector<Member> living = some_of(service.members, random);
            const Alternates expected = service.by_oracle(living);
            ASSERT_EQ(service.alternates(living), expected) << "round " << round << ", step " << step;
            if (step % 10 != 0) continue;
            ASSERT_EQ(service.rebuilt(living), expected) << "round " << round << ", step " << step;
        }
        steps += service.steps;
        rebuilds += service.rebuilds;
        full += service.list().sets().size() == kSetCountMax;
    }
    EXPECT_GT(steps, 600);
    EXPECT_GT(rebuilds, 8);
    EXPECT_GE(full, 3) << "sets were pushed out";
}

TEST(RowHistory, AlternatesAreDistinctLivingAndNotTheOwner) {
    std::mt19937_64 random(22);
    Service service(1009);
    std::vector<std::vector<Member>> earlier;
    for (int step = 0; step < 100; ++step) {
        change(service, random, earlier);
        service.use();
    }
    const std::vector<Member> living = some_of(service.members, random);
    const Alternates alternates = service.alternates(living);
    for (std::size_t row = 0; row < service.rows().size(); ++row) {
        std::vector<std::uint16_t> named = {service.rows()[row]};
        bool has_ended = false;
        for (std::size_t i = 0; i < wire::kAlternateCount; ++i) {
            const std::uint16_t slot = alternates[row * wire::kAlternateCount + i];
            ASSERT_FALSE(has_ended && slot != wire::kNoSlot) << "nothing stands after a gap";
            has_ended = slot == wire::kNoSlot;
            if (has_ended) continue;
            ASSERT_EQ(std::ranges::find(named, slot), named.end());
            ASSERT_NE(std::ranges::find(living, slot, &Member::slot), living.end());
            named.push_back(slot);
        }
    }
}

TEST(RowHistory, ABackendAddedLeavesTheFormerOwnerAsTheFirstAlternateOfEachRowItTook) {
    Service service(65537);
    service.members = members(20);
    service.use();
    EXPECT_EQ(service.alternates(service.members), no_alternates(65537)) << "one set has no past";
    const Rows before = service.rows();
    service.members = members(21);
    service.use();
    const Alternates alternates = service.alternates(service.members);
    for (std::size_t row = 0; row < before.size(); ++row) {
        const bool has_moved = service.rows()[row] != before[row];
        ASSERT_EQ(alternates[row * 3], has_moved ? before[row] : std::uint16_t{wire::kNoSlot});
        ASSERT_EQ(alternates[row * 3 + 1], wire::kNoSlot);
    }
}

TEST(RowHistory, WhenAllAreDrainedTheLastOwnersAreAlternates) {
    Service service(1009);
    service.members = members(5);
    service.use();
    const Rows before = service.rows();
    for (Member &member : service.members) member.weight = 0;
    service.use();
    const Alternates alternates = service.alternates(service.members);
    for (std::size_t row = 0; row < before.size(); ++row) ASSERT_EQ(alternates[row * 3], before[row]);
}

TEST(RowHistory, FlowsFindTheirOwnerAmongTheAlternatesAfterTheTableGrew) {
    Service service(65537);
    service.members = members(100);
    service.use();
    const Rows before = service.rows();
    service.use_row_count(100003);
    const Alternates alternates = service.alternates(service.members);
    std::mt19937 random(23);
    for (int flow = 0; flow < 200'000; ++flow) {
        const auto hash = static_cast<std::uint32_t>(random());
        const auto row = static_cast<std::size_t>(std::uint64_t{hash} * 100003 >> 32);
        const std::uint16_t old_owner = before[std::uint64_t{hash} * 65537 >> 32];
        const auto named = std::span(alternates).subspan(row * 3, 3);
        ASSERT_TRUE(service.rows()[row] == old_owner || std::ranges::find(named, old_owner) != named.end());
    }
}

} // namespace
} // namespace fairlead::tables
