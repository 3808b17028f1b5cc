// SPDX-License-Identifier: Apache-2.0
/// Answers as text: the configuration in three forms, other messages as JSON.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fairlead.pb.h>

#include "controlplane/config/config.hpp"

namespace fairlead::cli {

enum class Output { kTable, kJson, kYaml };

/// Adds `-o,--output` with these forms, the first as the default.
void add_output_option(CLI::App &command, Output &output, const std::vector<Output> &forms);

/// @param status as the daemon gave it, for how the services are.
[[nodiscard]] std::string service_table(const config::Config &config, const v1::StatusReply &status);
[[nodiscard]] std::string backend_table(const v1::BackendListReply &list);

/// Lists and nothing else: the seed is not for everyone who wants to see the services.
[[nodiscard]] std::string service_list_json(const config::Config &config);
[[nodiscard]] std::string backend_list_json(const v1::BackendListReply &list);

/// The same keys and values as in the YAML file.
[[nodiscard]] std::string config_json(const config::Config &config);

/// A message by its field names, absent and zero ones included; 64-bit numbers as numbers (protobuf's own JSON makes
/// strings of them).
[[nodiscard]] std::string message_json(const google::protobuf::Message &message);

} // namespace fairlead::cli
