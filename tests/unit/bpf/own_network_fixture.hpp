// SPDX-License-Identifier: Apache-2.0
/// The backend's program on a backend's network (own_network.hpp).
#pragma once

#include "tests/unit/bpf/backend_fixture.hpp"
#include "tests/unit/bpf/own_network.hpp"

namespace fairlead::bpf::testing {

class BackendOnItsNetwork : public BackendProgram {
  protected:
    void SetUp() override {
        if (const auto missing = missing_privilege()) GTEST_SKIP() << *missing;
        if (const auto missing = enter_own_network()) GTEST_SKIP() << *missing;
        BackendProgram::SetUp();
        interface_ = own_device();
        ASSERT_NE(interface_, 0U);
        set_ipv4("conf/v0/forwarding", "1"); // as the loader does
    }
};

} // namespace fairlead::bpf::testing
