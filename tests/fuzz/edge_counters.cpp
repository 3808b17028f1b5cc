// SPDX-License-Identifier: Apache-2.0
// Coverage for libFuzzer of code that g++ compiled with -fsanitize-coverage=trace-pc, which libFuzzer itself no longer takes: a
// counter for each edge, by a hash of where it lands, in the section where libFuzzer looks for counters that others keep
// (LLVM: FuzzerExtraCounters.cpp). Linked before libFuzzer's own __sanitizer_cov_trace_pc(), which only complains.
#include <cstdint>

namespace {
constexpr unsigned kCountersLog2 = 16;
__attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t counters[1u << kCountersLog2];
} // namespace

extern "C" void __sanitizer_cov_trace_pc() {
    const auto place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)) * 0x9e3779b97f4a7c15ull;
    std::uint8_t &counter = counters[place >> (64 - kCountersLog2)];
    if (counter != 0xff) ++counter;
}
