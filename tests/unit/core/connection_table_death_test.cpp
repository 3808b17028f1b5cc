// SPDX-License-Identifier: Apache-2.0
// A writer may die at any instruction: its table is safe to adopt. Once by stepping through a writer and adopting what is
// in memory after each instruction that changed it, and once by killing writers at full speed.
#include "tests/unit/core/connection_fixture.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <random>

using namespace fairlead;
using namespace fairlead::core;
using wire::u32;
using wire::u64;

namespace {

constexpr u32 kFlowsMax = 4096;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true; // some eight times the instructions, of which each is a stop
#else
constexpr bool kIsSanitized = false;
#endif

/// What a writer says of its work, in memory that outlives it. A value of 0: no connection.
struct Journal {
    u64 done[kFlowsMax];    ///< acknowledged, by flow
    u64 intended[kFlowsMax]; ///< of the flow at work: what it will be
    u64 at_work;            ///< flow + 1; 0: none
    u64 steps;
};

template <class T> void say(T &where, T what) { __atomic_store_n(&where, what, __ATOMIC_SEQ_CST); }

/// Memory that a child shares.
class Shared {
  public:
    explicit Shared(std::size_t bytes) : bytes_(bytes) {
        base_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    }
    ~Shared() { ::munmap(base_, bytes_); }
    Shared(const Shared &) = delete;
    Shared &operator=(const Shared &) = delete;
    [[nodiscard]] std::span<std::byte> span() const { return {static_cast<std::byte *>(base_), bytes_}; }

  private:
    std::size_t bytes_;
    void *base_;
};

template <class Key> class ConnectionTableDeathTest : public testing::Test {
  protected:
    test::Flows<Key> flows;
    Shared journal_memory{sizeof(Journal)};
    Journal &journal = *reinterpret_cast<Journal *>(journal_memory.span().data());

    /// Opens, moves (by opening where lines are full), changes and ends connections, and says so before and after.
    void work(test::Process<Key> &process, u32 flow_count, u64 steps, u32 seed) {
        std::minstd_rand random(seed);
        for (u64 step = 0; step < steps; ++step) {
            const u32 n = static_cast<u32>(random() % flow_count);
            const u64 before = journal.done[n];
            const Connection next = test::connection(n, ConnectionState::kEstablished, static_cast<u32>(random()) & 0x3fffff);
            const bool ends = before != 0 && random() % 4 == 0;
            say(journal.intended[n], ends ? 0 : next.pack());
            say(journal.at_work, u64{n} + 1);
            u64 after = ends ? 0 : next.pack();
            if (ends) process.table.erase(flows.hash(n), flows.key(n));
            else if (u64 *value = process.table.find(flows.hash(n), flows.key(n))) *value = after;
            // At the beginning of time nothing has expired, so that all that is acknowledged must be there.
            else if (!process.table.insert(flows.generation, flows.hash(n), flows.key(n), next, 0)) after = 0;
            say(journal.done[n], after);
            say(journal.at_work, u64{0});
            say(journal.steps, journal.steps + 1);
        }
    }

    /// Adopts as the next process would, and holds the outcome against the journal.
    /// @return copies of entries that were dropped.
    u64 check(std::span<std::byte> memory, u32 flow_count, bool settle) {
        test::Process<Key> process(memory);
        const TableAdoption adopted = process.table.adopt();
        EXPECT_EQ(adopted.unsound, 0u);
        EXPECT_LE(adopted.duplicates, 1u);
        u64 found = 0;
        for (u32 n = 0; n < flow_count; ++n) {
            const u64 *value = process.table.find(flows.hash(n), flows.key(n));
            const u64 now = value ? *value : 0;
            found += value != nullptr;
            const bool at_work = journal.at_work == u64{n} + 1;
            EXPECT_TRUE(now == journal.done[n] || (at_work && now == journal.intended[n]))
                << "flow " << n << (at_work ? " (at work)" : "") << " is " << now << ", was " << journal.done[n];
            if (settle) journal.done[n] = now;
        }
        EXPECT_EQ(found, adopted.entries) << "an entry stands twice, or nobody knows it";
        EXPECT_EQ(process.live(), found);
        if (settle) journal.at_work = 0;
        return adopted.duplicates;
    }
};

using Keys = testing::Types<CompactKey, WideKey>;
TYPED_TEST_SUITE(ConnectionTableDeathTest, Keys);

TYPED_TEST(ConnectionTableDeathTest, AfterEveryInstructionTheTableIsSafeToAdopt) {
    // So full that entries move a lot; fuller, and wide ones look for room in vain most of the time.
    constexpr bool kIsWide = Line<TypeParam>::kEntries == 2;
    constexpr u32 kFlows = kIsWide ? 56 : 80;
    const Shared memory(connection_memory_bytes<TypeParam>(kIsWide ? 56 : 64));
    const pid_t writer = ::fork();
    if (writer == 0) {
        auto process = std::make_unique<test::Process<TypeParam>>(memory.span());
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
        ::raise(SIGSTOP);
        this->work(*process, kFlows, (kIsWide ? 300 : 200) / (kIsSanitized ? 8 : 1), 5);
        ::_exit(0);
    }
    ASSERT_GT(writer, 0);
    int status = 0;
    ASSERT_EQ(::waitpid(writer, &status, 0), writer);
    if (!WIFSTOPPED(status)) GTEST_SKIP() << "no process may be traced here";

    std::vector<std::byte> last(memory.span().begin(), memory.span().end());
    const test::TableMemory copy(memory.span().size());
    u64 instructions = 0, changes = 0, duplicates = 0;
    while (!this->HasFailure()) {
        ASSERT_EQ(::ptrace(PTRACE_SINGLESTEP, writer, nullptr, nullptr), 0);
        ASSERT_EQ(::waitpid(writer, &status, 0), writer);
        if (!WIFSTOPPED(status)) break;
        ++instructions;
        if (std::memcmp(last.data(), memory.span().data(), last.size()) == 0) continue;
        std::memcpy(last.data(), memory.span().data(), last.size());
        std::memcpy(copy.span().data(), memory.span().data(), last.size());
        ++changes;
        duplicates += this->check(copy.span(), kFlows, false);
    }
    if (WIFSTOPPED(status)) {
        ::kill(writer, SIGKILL);
        ::waitpid(writer, &status, 0);
        return;
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    std::printf("%lu instructions, %lu changed the table, after %lu of them an entry stood twice\n", instructions, changes, duplicates);
    if (kIsSanitized) return;
    EXPECT_GT(changes, 200u);
    EXPECT_GE(duplicates, 5u) << "too few entries were moved to prove anything";
}

TYPED_TEST(ConnectionTableDeathTest, KilledWritersLoseNothingThatTheyAcknowledged) {
    constexpr u32 kFlows = kFlowsMax;
    const Shared memory(connection_memory_bytes<TypeParam>(kFlows * 7 / 8));
    std::mt19937 random(std::random_device{}());
    u64 duplicates = 0, at_work = 0;
    for (int round = 0; round < 200 && !this->HasFailure(); ++round) {
        const u64 until = this->journal.steps + 1 + random() % 20'000;
        const u32 seed = static_cast<u32>(random());
        const pid_t writer = ::fork();
        ASSERT_GE(writer, 0);
        if (writer == 0) {
            auto process = std::make_unique<test::Process<TypeParam>>(memory.span());
            process->table.adopt();
            this->work(*process, kFlows, ~u64{0}, seed);
            ::_exit(0);
        }
        while (__atomic_load_n(&this->journal.steps, __ATOMIC_RELAXED) < until) ::usleep(10); // at work on the other CPU
        ::kill(writer, SIGKILL);
        ASSERT_EQ(::waitpid(writer, nullptr, 0), writer);
        at_work += this->journal.at_work != 0;
        duplicates += this->check(memory.span(), kFlows, true);
    }
    std::printf("%lu operations, %lu deaths at work, %lu of them in a move\n", this->journal.steps, at_work, duplicates);
    EXPECT_GT(at_work, 50u);
}

} // namespace
