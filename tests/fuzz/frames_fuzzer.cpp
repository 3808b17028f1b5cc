// SPDX-License-Identifier: Apache-2.0
// Fuzzes the packet path: arbitrary frames in arbitrary bursts, while generations change and time passes.
//
// Input: steps, each an operation byte, a length (u16, little-endian) and so many bytes of a frame.
// make_seeds.py writes the frames of tests/packet in this form.
#include "tests/fuzz/byte_reader.hpp"
#include "tests/fuzz/exact_worker.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"

#include <array>

namespace {

using namespace fairlead;
using namespace fairlead::wire;

/// Bits of an operation byte.
enum Operation : u8 {
    kEndBurst = 0x01,
    kNextGeneration = 0x02,
    kPassTime = 0x04,       ///< 17 s, so that two of them expire what is half-open
    kHousekeep = 0x08,
    kForget = 0x10,
    kNoHeadroom = 0x20,
};

constexpr u32 kVip = 0xc633640a; // 198.51.100.10, as in tests/packet
constexpr std::size_t kServiceCount = 5, kSlotCount = 6, kConnections = 16;

/// Services of every kind beside each other. The second generation has another tenant in slot 0, slot 1 draining,
/// slot 2 free, the service of any port gone, and no second chance any more.
test::Snapshot make_snapshot(u64 generation) {
    const bool second = generation == 2;
    test::Snapshot s;
    s.generation = generation;
    s.services = {test::service_entry(kVip, 80, kIpProtocolTcp, 100), test::service_entry(kVip, 53, kIpProtocolUdp, 101, kForwardingIpip),
                  test::service_entry(kVip + 1, kPortAny, kIpProtocolTcp, 102), test::service_entry(kVip, 81, kIpProtocolTcp, 103),
                  test::service_entry(kVip + 1, kPortAny, kIpProtocolUdp, 104)};
    if (second) s.services[2] = {};
    for (u16 i = 0; i < kSlotCount; ++i) {
        constexpr u16 kServiceOf[kSlotCount] = {0, 0, 0, 1, 2, 4};
        s.slots.push_back(test::slot_entry(0x0a14001f + i, kServiceOf[i], static_cast<u16>(i + (second && i == 0 ? 100 : 7))));
        s.hops.push_back({{2, 0, 0, 0, 0, static_cast<u8>(i)}, static_cast<u8>(i != 5), 0}); // slot 5: no next hop
    }
    constexpr u16 kNone = kNoSlot;
    s.rows = {{0, 1, 2, 1, 2, 0, 0}, {3}, {4, kNone}, {kNone}, {5}};
    if (!second) s.alternates = {{1, 2, kNone, 2, kNone, kNone, 0, 1, kNone, kNone, kNone, kNone, 0, kNone, kNone, 1, kNone, kNone, 2, 1, kNone}};
    if (second) {
        s.slots[1].state = kSlotDraining;
        s.slots[2] = s.slots[4] = {};
        s.rows = {{0}, {3, kNone, 3}, {kNone}, {kNone}, {5}};
    }
    s.render();
    return s;
}

const core::Generation *generation(unsigned which) {
    struct Held {
        explicit Held(u64 number) : snapshot(make_snapshot(number)), built(snapshot.build()) {
            fuzz::require(built.generation != nullptr, built.refusal.c_str());
        }
        test::Snapshot snapshot;
        core::Generation::Built built;
    };
    static const Held first(1), second(2);
    switch (which % 3) {
    case 0: return first.built.generation.get();
    case 1: return second.built.generation.get();
    default: return nullptr; // none adopted
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8 *data, std::size_t size) {
    fuzz::ByteReader reader(data, size);
    fuzz::ExactWorker worker(kServiceCount, kSlotCount, kConnections);
    std::vector<fuzz::HeapFrame> burst;
    unsigned which = 0;
    u64 now_ns = 1'700'000'000'000'000'000;
    while (!reader.empty()) {
        const u8 operation = reader.take<u8>();
        const u16 length = reader.take<u16>();
        if (!burst.empty() && (operation & (kNextGeneration | kPassTime | kForget | kEndBurst) || burst.size() == core::kBurstSizeMax)) {
            worker.process(generation(which), burst, now_ns);
            burst.clear();
        }
        if (operation & kNextGeneration) ++which;
        if (operation & kPassTime) now_ns += 17'000'000'000;
        if (operation & kForget) worker.pipeline().forget();
        if (operation & kHousekeep) {
            worker.pipeline().housekeep(generation(which), now_ns);
            worker.check_gauges();
        }
        const u16 headroom = operation & kNoHeadroom ? core::kHeadroomNeeded - 1 : core::kHeadroomNeeded;
        burst.emplace_back(reader.take_bytes(length), headroom);
    }
    if (!burst.empty()) worker.process(generation(which), burst, now_ns);
    worker.pipeline().housekeep(generation(which), now_ns);
    worker.check_gauges();
    return 0;
}
