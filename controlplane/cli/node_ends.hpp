// SPDX-License-Identifier: Apache-2.0
/// What is said at the end of `fairlead node drain|announce`. Pure.
#pragma once

#include <string>

#include <fairlead.pb.h>

#include "controlplane/error.hpp"

namespace fairlead::cli {

/// "12.0 packets a second, 70 connections known"
[[nodiscard]] std::string traffic_of(const v1::NodeProgress &word);

/// A drain has ended well: since traffic was gone, or at its deadline, which is not the same.
/// @param last word of the daemon's.
[[nodiscard]] std::string end_of_drain(const v1::NodeProgress &last, bool keeps_running);

/// Whoever waited leaves: what goes on without them depends on how far it had come.
/// @param phase last heard of.
[[nodiscard]] Error interrupted_drain(v1::NodeProgress::Phase phase);
[[nodiscard]] Error interrupted_announcement(v1::NodeProgress::Phase phase);

} // namespace fairlead::cli
