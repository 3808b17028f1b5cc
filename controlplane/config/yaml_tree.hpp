// SPDX-License-Identifier: Apache-2.0
/// A YAML document as a bounded tree that knows its lines. yaml-cpp's own Node loses duplicate keys
/// and follows aliases without limit, so this is built from its events instead.
#pragma once

#include <cstddef>
#include <deque>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/error.hpp"

namespace fairlead::config {

/// Enough for kBackendCountMax backends with every key given; an alias counts as all it stands for.
inline constexpr std::size_t kYamlNodeCountMax = 600'000;
inline constexpr std::size_t kYamlDepthMax = 16;

struct YamlNode {
    enum class Kind { kNull, kScalar, kSequence, kMap };
    struct Entry {
        std::string key; ///< empty in a sequence
        int line;        ///< of the key, or of the element
        const YamlNode *value;
    };

    Kind kind = Kind::kNull;
    int line = 0;
    std::string scalar;
    std::vector<Entry> entries;
    std::size_t node_count = 1; ///< this one and all below, aliases expanded

    [[nodiscard]] const YamlNode *find(std::string_view key) const;
};

/// Owns its nodes.
struct YamlTree {
    std::deque<YamlNode> nodes;
    const YamlNode *root = nullptr;

    /// The line of a path such as `services[3].backends[2].address`: of the deepest part that exists.
    [[nodiscard]] int line_of(std::string_view path) const;
};

/// One document; anything else, a duplicate key, a tag or too much of anything is an error.
[[nodiscard]] std::expected<YamlTree, Error> read_yaml(std::string_view text, std::string_view file_name);

/// What of a long value is shown: whole UTF-8 characters.
[[nodiscard]] std::string_view cut(std::string_view value);

/// A value as it appears in an error: in quotes, unprintable bytes escaped, long ones cut.
[[nodiscard]] std::string quoted(std::string_view value);

} // namespace fairlead::config
