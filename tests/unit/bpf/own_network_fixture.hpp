// SPDX-License-Identifier: Apache-2.0
/// The backend's program on a backend's network (own_network.hpp).
#pragma once

#include "tests/unit/bpf/backend_fixture.hpp"
#include "tests/unit/bpf/own_network.hpp"

namespace fairlead::bpf::test {

/// The tests of a suite share a network.
class BackendOnItsNetwork : public BackendProgram {
  protected:
    static void SetUpTestSuite() {
        missing_ = missing_privilege();
        if (!missing_) missing_ = enter_own_network();
    }

    void SetUp() override {
        if (missing_) GTEST_SKIP() << *missing_;
        BackendProgram::SetUp();
        interface_ = own_device();
        ASSERT_NE(interface_, 0U);
        set_ipv4("conf/v0/forwarding", "1"); // as the loader does
    }

    inline static std::optional<std::string> missing_;
};

} // namespace fairlead::bpf::test
