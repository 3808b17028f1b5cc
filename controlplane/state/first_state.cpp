// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/first_state.hpp"

#include <cerrno>
#include <system_error>

#include <sys/random.h>

namespace fairlead::state {

std::expected<DesiredState, Error> first_state(const std::string &config_file) {
    const auto text = config::read_config_text(config_file);
    if (!text) return std::unexpected(text.error());
    auto config = config::parse(*text, config_file);
    if (!config) return std::unexpected(std::move(config.error()));
    DesiredState state;
    state.config = std::move(*config);
    state.config_digest = digest_of(*text);
    if (state.config.balancer.seed) {
        state.seed = *state.config.balancer.seed;
    } else if (::getrandom(state.seed.data(), state.seed.size(), 0) != static_cast<ssize_t>(state.seed.size())) {
        return std::unexpected(error_in("balancer.seed",
                                        "the kernel gives no random bytes: " + std::generic_category().message(errno),
                                        "give a seed in the configuration"));
    }
    return state;
}

} // namespace fairlead::state
