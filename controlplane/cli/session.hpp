// SPDX-License-Identifier: Apache-2.0
/// What all commands of `fairlead` share: the way to the daemon, the exit code, how errors are said.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "controlplane/api/client.hpp"
#include "controlplane/error.hpp"

namespace fairlead::cli {

enum ExitCode {
    kDone = 0,
    kRefused = 1,     ///< the daemon, or a file, said no
    kUsage = 2,       ///< the command line is wrong
    kUnreachable = 3, ///< no daemon; for status and stats also: no dataplane
};

inline constexpr const char *kDefaultSocket = "/run/fairlead/fairleadd.sock";

class Session {
  public:
    std::string socket_path = kDefaultSocket;
    unsigned timeout_s = 30;
    int exit_code = kDone;

    /// Connected at the first call, with the options as parsed.
    [[nodiscard]] api::Client &client();
    void disconnect() { client_.reset(); }

    /// `fairlead: ...` on stderr, and the exit code that goes with it.
    void fail(const api::CallFailure &failure);
    void fail(const Error &error);

    /// Empty when the daemon does not say.
    [[nodiscard]] v1::StatusReply status();

    /// Says what a change came to.
    void report(const api::Answer<v1::ChangeReply> &answer);

  private:
    std::unique_ptr<api::Client> client_;
};

/// A path in the configuration as the command-line argument that gives it: `services[2].vip` is `--vip`.
[[nodiscard]] std::string argument_of(const std::string &field);

/// Adds `--force`.
void add_force_option(CLI::App &command, bool &is_forced, const std::string &what);

void add_service_commands(CLI::App &app, Session &session);
void add_backend_commands(CLI::App &app, Session &session);
void add_config_commands(CLI::App &app, Session &session);
void add_node_commands(CLI::App &app, Session &session);
void add_state_commands(CLI::App &app, Session &session);
void add_status_commands(CLI::App &app, Session &session);

} // namespace fairlead::cli
