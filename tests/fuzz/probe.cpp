// SPDX-License-Identifier: Apache-2.0
// Compiled when the build is set up, to learn whether this machine's clang++ can link libFuzzer.
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *, std::size_t) { return 0; }
