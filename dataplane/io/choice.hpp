// SPDX-License-Identifier: Apache-2.0
/// Options whose values are names. Not by CLI::CheckedTransformer, which answers a wrong one with its table's insides and lets
/// the numbers behind the names pass.
#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::io {

/// Takes one of the names, for the value beside it.
template <typename Value> CLI::Validator one_of(const std::vector<std::pair<std::string, Value>> &choices) {
    std::string names;
    for (const auto &[name, value] : choices) names += (names.empty() ? "" : ", ") + name;
    const auto transform = [choices, names](std::string &text) -> std::string {
        const auto found = std::ranges::find(choices, text, &std::pair<std::string, Value>::first);
        if (found == choices.end()) return fmt::format("'{}' is not one of {}", text, names);
        text = std::to_string(static_cast<int>(found->second));
        return {};
    };
    return {transform, names};
}

} // namespace fairlead::io
