// SPDX-License-Identifier: Apache-2.0
/// The API's server on a socket of its own, with a controller behind it and no dataplane.
#pragma once

#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "controlplane/api/client.hpp"
#include "controlplane/api/server.hpp"
#include "tests/unit/node/site.hpp"
#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"
#include "tests/unit/state/sample_options.hpp"

namespace fairlead::api::test {

class ServerFixture : public ::testing::Test {
  protected:
    ServerFixture() {
        spdlog::set_level(spdlog::level::err);
        std::ofstream(directory_.file("c.yaml")) << config::format_yaml(state::test::config_with(2));
        controller_ = std::move(*state::Controller::start(state::test::options_in(directory_), statistics_));
    }

    [[nodiscard]] std::expected<std::unique_ptr<Server>, Error> start() {
        if (!lock_) {
            auto lock = SocketLock::take(socket_path());
            if (!lock) return std::unexpected(std::move(lock.error()));
            lock_.emplace(std::move(*lock));
        }
        return Server::start(*lock_, "no-such-group", *controller_, statistics_, node_);
    }
    [[nodiscard]] std::string socket_path() const { return directory_.file("api.sock"); }

    /// The site's, but that statistics are told, as fairleadd's are.
    [[nodiscard]] node::Surroundings surroundings() {
        auto surroundings = site_.surroundings();
        surroundings.changed = [this](const node::Standing &standing) { statistics_->set_node(standing); };
        return surroundings;
    }

    publish::test::TemporaryDirectory directory_;
    std::shared_ptr<metrics::Statistics> statistics_ = std::make_shared<metrics::Statistics>(
        std::make_shared<publish::CountersReader>(directory_.file("dataplane.sock")));
    std::unique_ptr<state::Controller> controller_;
    node::test::Site site_;
    node::Node node_{site_.commands(), node::WithdrawnMark(directory_.file("withdrawn")), surroundings()};
    std::optional<SocketLock> lock_;
};

} // namespace fairlead::api::test
