// SPDX-License-Identifier: Apache-2.0
/// A controller's options for a test, which changes nothing outside its directory.
#pragma once

#include "controlplane/state/controller.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::state::test {

/// Everything in the directory: state/, dataplane.sock, and the configuration in c.yaml.
inline ControllerOptions options_in(const publish::test::TemporaryDirectory &directory) {
    return {.state_directory = directory.file("state"), .dataplane_socket = directory.file("dataplane.sock"), .config_file = directory.file("c.yaml"),
            .has_vip_blackholes = false, .has_health_checks = false};
}

} // namespace fairlead::state::test
