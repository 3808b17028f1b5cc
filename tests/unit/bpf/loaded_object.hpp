// SPDX-License-Identifier: Apache-2.0
/// A BPF object in the real kernel, its verifier included, whose program is run on frames by
/// BPF_PROG_TEST_RUN.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <bpf/libbpf.h>

#include "bpf/maps.hpp"
#include "tests/unit/bpf/frames.hpp"

namespace fairlead::bpf::test {

/// Why programs cannot be loaded here, or nothing.
[[nodiscard]] std::optional<std::string> missing_privilege();

struct RunResult {
    int error = 0; ///< positive errno: the kernel did not run the program
    std::uint32_t verdict = 0;
    Bytes frame; ///< as the program left it
};

class LoadedObject {
  public:
    /// Loads it as DPDK's AF_XDP driver does, by libbpf alone and its first program. Null where it fails.
    explicit LoadedObject(bpf_object *opened);

    [[nodiscard]] bool is_loaded() const { return program_ != nullptr; }
    [[nodiscard]] std::string program_name() const { return bpf_program__name(program_); }
    [[nodiscard]] int program() const { return bpf_program__fd(program_); }
    [[nodiscard]] int map(const char *name) const;
    /// As if the frame had come in by this interface of the process's network namespace; 0: the loopback device.
    [[nodiscard]] RunResult run(const Bytes &frame, unsigned interface_index = 0) const;

  private:
    std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object_;
    bpf_program *program_ = nullptr;
};

} // namespace fairlead::bpf::test
