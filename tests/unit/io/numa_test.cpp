// SPDX-License-Identifier: Apache-2.0
// Machines of two nodes, as sysfs shows them; a real one with two is tests/vm's.
#include "dataplane/io/eal.hpp"
#include "dataplane/io/memory_supply.hpp"
#include "dataplane/io/numa.hpp"
#include "dataplane/io/plan.hpp"
#include "tests/unit/io/machine_files.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace fairlead::io {
namespace {

using namespace test;
using Cpus = std::vector<unsigned>;

TEST(Numa, NodesAreReadFromSysfs) {
    const test::TemporaryDirectory root;
    EXPECT_EQ(node_count(root.path()), 1U);
    EXPECT_EQ(cpus_of_node(0, root.path()), Cpus{});
    write_file(root.path() / "devices/system/node/node0/cpulist", "0-3");
    write_file(root.path() / "devices/system/node/node1/cpulist", "4-5,7");
    write_file(root.path() / "devices/system/node/node2/cpulist", ""); // memory alone
    EXPECT_EQ(node_count(root.path()), 3U);
    EXPECT_EQ(cpus_of_node(1, root.path()), (Cpus{4, 5, 7}));
    EXPECT_EQ(cpus_of_node(2, root.path()), Cpus{});
}

TEST(Numa, WorkersGoWhereTheNicsAre) {
    const Cpus all{0, 1, 2, 3, 4, 5, 6, 7};
    Options options;
    options.worker_count = 2;
    const auto placement = place_near(1, Cpus{4, 5, 6, 7}, all, options);
    ASSERT_TRUE(placement) << placement.error();
    EXPECT_EQ(placement->worker_cpus, (std::vector<Cpus>{{6}, {7}}));
    EXPECT_EQ(placement->main_cpus, (Cpus{0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(place_near(0, Cpus{0, 1}, all, options)->worker_cpus, (std::vector<Cpus>{{0}, {1}})) << "as many as there are";
    EXPECT_EQ(place_near(-1, Cpus{}, all, options)->worker_cpus, (std::vector<Cpus>{{6}, {7}})) << "one node: anywhere";
}

TEST(Numa, CpusFarFromTheNicsAreRefusedWithNeedAndHave) {
    const Cpus all{0, 1, 2, 3};
    Options options;
    options.lcores = {1, 2};
    const auto refused = place_near(1, Cpus{2, 3}, all, options);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "the NICs are on NUMA node 1: they need workers on its CPUs 2,3; --lcores has 1; name others, or --numa any");
    options.numa = NumaUse::kAny;
    EXPECT_EQ(place_near(1, Cpus{2, 3}, all, options)->worker_cpus, (std::vector<Cpus>{{1}, {2}}));
    options.numa = NumaUse::kStrict;
    options.lcores = {2, 3};
    EXPECT_TRUE(place_near(1, Cpus{2, 3}, all, options));
    options.lcores = {9};
    EXPECT_EQ(place_near(1, Cpus{2, 3}, all, options).error(), "--lcores: no CPU 9 here; this process may use 0,1,2,3");
    options.lcores = {};
    EXPECT_EQ(place_near(1, Cpus{4, 5}, all, options).error(),
              "the NICs are on NUMA node 1: they need workers on its CPUs 4,5; this process may use 0,1,2,3, or --numa any");
}

TEST(Numa, HugepagesMustBeFreeOnTheNicsNode) {
    const test::TemporaryDirectory root;
    const auto free_pages = [&](const std::string &place, int pages) { write_file(root.path() / place / "hugepages-2048kB/free_hugepages", std::to_string(pages)); };
    free_pages("kernel/mm/hugepages", 100);
    free_pages("devices/system/node/node0/hugepages", 90);
    free_pages("devices/system/node/node1/hugepages", 10);
    write_file(root.path() / "devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "90");
    write_file(root.path() / "devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "64"); // 54 are another program's, and stay so
    const auto supply = MemorySupply::read(root.path(), root.path());
    ASSERT_EQ(supply.hugepages.front().nodes.size(), 2U);
    EXPECT_EQ(supply.hugepages.front().nodes[0].bytes_free, 180 * kMegabyte);
    EXPECT_EQ(supply.hugepages.front().nodes[1].bytes_free, 20 * kMegabyte);
    EXPECT_EQ(supply.hugepages.front().nodes[1].bytes_set, 128 * kMegabyte);
    MemoryNeed need{.eal = {{10 * kMegabyte, 0}, {20 * kMegabyte, 1}}, .nic = true};
    EXPECT_TRUE(choose_memory(HugepageUse::kAuto, need, supply).value().hugepages);
    need.eal[1].bytes += 1;
    EXPECT_EQ(choose_memory(HugepageUse::kAuto, need, supply).error(),
              "needs 22 MB of hugepages on NUMA node 1, 20 MB are free (11 pages of 2 MB, 10 are free); scripts/host.sh hugepages --node 1 --memory 130M, or --hugepages off");
}

/// Pages of one size on two nodes, all of them free.
HugepageSupply on_nodes(std::size_t page_bytes, std::size_t first, std::size_t second) {
    return {.page_bytes = page_bytes, .bytes_free = (first + second) * page_bytes, .bytes_set = (first + second) * page_bytes,
            .nodes = {{first * page_bytes, first * page_bytes}, {second * page_bytes, second * page_bytes}}};
}

TEST(Numa, OnANodeToEveryPieceTakesWholePagesAndWhatIsLeftThereCounts) {
    const MemorySupply supply{.hugepages = {on_nodes(kSmallPage, 47, 3)}};
    const MemoryNeed need{.eal = {{kMegabyte, 0}, {3 * kMegabyte, 1}}, .tables = {{kMegabyte, 1}, {kMegabyte, 1}}, .nic = true};
    auto mount = kSmallMount;
    const auto choose = [&](const MemoryNeed &what) { return choose_memory(HugepageUse::kAuto, what, supply, {{mount}}); };
    EXPECT_EQ(choose(need).error(),
              "needs 8 MB of hugepages on NUMA node 1, 6 MB are free (4 pages of 2 MB, 3 are free); scripts/host.sh hugepages --node 1 --memory 8M, or --hugepages off");
    auto elsewhere = need;
    elsewhere.eal[0].bytes = 0;
    EXPECT_FALSE(choose(elsewhere)) << "what is not asked for would lie on the other node";
    mount.is_there = {false, true};
    EXPECT_TRUE(choose(need).value().hugepages);
}

TEST(Numa, WhereThePagesAreOfAGigabyteSoAreThoseToSet) {
    MemorySupply supply{.hugepages = {on_nodes(kSmallPage, 0, 0), on_nodes(kGigabyte, 3, 1)}};
    supply.hugepages[1].nodes[1].bytes_set = 2 * kGigabyte; // one is another program's, and stays so
    const MemoryNeed need{.eal = {{kGigabyte + 1, 1}}, .nic = true};
    EXPECT_EQ(choose_memory(HugepageUse::kAuto, need, supply).error(),
              "needs 2048 MB of hugepages on NUMA node 1, 1024 MB are free (2 pages of 1024 MB, 1 are free); scripts/host.sh hugepages --node 1 --memory 3072M "
              "--size 1G, or --hugepages off");
}

TEST(Numa, TheMountIsTheOneWhosePagesAreFreeOnTheNicsNode) {
    const std::vector mounts{kSmallMount, kLargeMount};
    const MemoryNeed need{.eal = {{30 * kMegabyte, 0}, {30 * kMegabyte, 1}}, .tables = {{20 * kMegabyte, 1}, {38 * kMegabyte, 1}}, .nic = true};
    const auto chosen = [&](const HugepageSupply &small, const HugepageSupply &large) {
        const auto choice = choose_memory(HugepageUse::kAuto, need, {.hugepages = {small, large}}, mounts);
        return choice ? choice->place.directory.string() : choice.error();
    };
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 15, 44), on_nodes(kGigabyte, 0, 0)), "/small");
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 500, 0), on_nodes(kGigabyte, 0, 3)), "/large") << "the small ones are on the other node";
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 15, 15), on_nodes(kGigabyte, 0, 2)), "/large") << "DPDK takes the small ones of both";
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 50, 29), on_nodes(kGigabyte, 0, 0)),
              "needs 88 MB of hugepages on NUMA node 1, 58 MB are free (44 pages of 2 MB, 29 are free); scripts/host.sh hugepages --node 1 --memory 88M, "
              "or --hugepages off");
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 0, 0), on_nodes(kGigabyte, 6, 2)),
              "needs 3072 MB of hugepages on NUMA node 1, 2048 MB are free (3 pages of 1024 MB, 2 are free); scripts/host.sh hugepages --node 1 --memory 3072M "
              "--size 1G, or --hugepages off");
    EXPECT_EQ(chosen(on_nodes(kSmallPage, 50, 20), on_nodes(kGigabyte, 4, 1)),
              "needs 88 MB of hugepages on NUMA node 1, 40 MB are free (44 pages of 2 MB, 20 are free; or 3 pages of 1024 MB on NUMA node 1, 1 are free); "
              "scripts/host.sh hugepages --node 1 --memory 88M, or --hugepages off");
}

/// A plan for these NICs, as far as spread_of's words show it.
Plan plan_for(std::vector<std::string> addresses, unsigned worker_count, bool is_distributed = false) {
    Plan plan;
    plan.placement.worker_cpus.resize(worker_count);
    for (const auto &address : addresses) {
        plan.ports.emplace_back();
        plan.ports.back().spec = {.kind = PortKind::kPci, .name = address, .rx_file = {}, .tx_file = {}, .twin = {}, .text = "pci:" + address};
        plan.ports.back().is_distributed = is_distributed;
    }
    return plan;
}

TEST(Plan, KnowsTheTablesOfTheSamePortsAndWorkersAlone) {
    const std::string one = "2 workers, 0000:01:00.0 with 2 queues by RSS over 4-tuples";
    EXPECT_TRUE(may_be_spread(one, plan_for({"0000:01:00.0"}, 2)));
    EXPECT_FALSE(may_be_spread(one, plan_for({"0000:81:00.0"}, 2))) << "the NIC of another node";
    EXPECT_FALSE(may_be_spread(one, plan_for({"0000:01:00.0"}, 1)));
    EXPECT_FALSE(may_be_spread(one, plan_for({"0000:01:00.0"}, 22)));
    EXPECT_FALSE(may_be_spread(one, plan_for({"0000:01:00.0", "0000:02:00.0"}, 2)));
    EXPECT_FALSE(may_be_spread(one, plan_for({}, 2)));
    EXPECT_FALSE(may_be_spread("", plan_for({"0000:01:00.0"}, 2)));
    const std::string two = "2 workers, 0000:01:00.0 with 1 queues, handed on, 0000:02:00.0 with 2 queues by RSS over addresses";
    EXPECT_TRUE(may_be_spread(two, plan_for({"0000:01:00.0", "0000:02:00.0"}, 2, true)));
    EXPECT_FALSE(may_be_spread(two, plan_for({"0000:01:00.0", "0000:02:00.0"}, 2, false))) << "not handed on now";
    EXPECT_FALSE(may_be_spread(two, plan_for({"0000:02:00.0", "0000:01:00.0"}, 2, true)));
    EXPECT_FALSE(may_be_spread(two, plan_for({"0000:01:00.0"}, 2, true)));
}

TEST(Plan, KnowsThemByAsMuchAsTheirHeaderHolds) {
    for (std::size_t longer = 0; longer < 40; ++longer) { // wherever the cut falls
        std::vector<std::string> addresses;
        std::string said = "2 workers";
        for (int number = 10; number < 20; ++number) {
            addresses.push_back(std::string(number == 10 ? longer : 0, '0') + "0000:" + std::to_string(number) + ":00.0");
            said += ", " + addresses.back() + " with 1 queues, handed on";
        }
        const auto plan = plan_for(addresses, 2, true);
        EXPECT_TRUE(may_be_spread(said, plan));
        EXPECT_TRUE(may_be_spread(said.substr(0, kSpreadTextMax), plan)) << said.substr(0, kSpreadTextMax);
        EXPECT_FALSE(may_be_spread(said.substr(0, said.find(", 0000:15")), plan)) << "not cut: of fewer NICs";
        said[12 + longer] = '5';
        EXPECT_FALSE(may_be_spread(said.substr(0, kSpreadTextMax), plan)) << said;
    }
}

TEST(Numa, DpdkTakesItsMemoryOnTheNodesThatNeedIt) {
    EalOptions options{.placement = {.worker_cpus = {{1}}, .main_cpus = {0}}, .hugepages = true, .memory_bytes = 30 * kMegabyte,
                       .node_bytes = {10 * kMegabyte, 20 * kMegabyte + 1}, .pci_addresses = {}, .scratch_directory = {}};
    auto arguments = eal_arguments(options);
    const auto found = std::ranges::find(arguments, "--socket-mem");
    ASSERT_NE(found, arguments.end());
    EXPECT_EQ(*std::next(found), "10,21");
    EXPECT_EQ(std::ranges::find(arguments, "-m"), arguments.end());
    options.node_bytes.clear();
    arguments = eal_arguments(options);
    EXPECT_NE(std::ranges::find(arguments, "-m"), arguments.end());
}

TEST(Numa, ThisThreadsMemoryComesFromTheNodeMeanwhile) {
    const NearNode near(0); // there always is one; that the kernel takes the policy is what shows here
    std::ifstream policy("/proc/self/task/" + std::to_string(::gettid()) + "/numa_maps");
    if (!policy) GTEST_SKIP() << "this kernel knows no nodes";
    std::string line;
    std::getline(policy, line);
    EXPECT_NE(line.find("prefer:0"), std::string::npos) << line;
}

} // namespace
} // namespace fairlead::io
