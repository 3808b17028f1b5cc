// SPDX-License-Identifier: Apache-2.0
/// What the control side returns instead of a result: what is wrong, where, and what would be right.
#pragma once

#include <string>
#include <utility>

namespace fairlead {

struct Error {
    std::string what;  ///< what is wrong, the bad value included
    std::string file;  ///< empty: not about a file
    int line = 0;      ///< from 1; 0: the file as a whole
    std::string field; ///< `services[0].port`, or a command's argument; empty: none
    std::string mend;  ///< what would be right; empty: nothing to say

    /// One line: `FILE:LINE: FIELD: WHAT; MEND`, without the parts that are empty.
    [[nodiscard]] std::string format() const {
        std::string text;
        if (!file.empty()) {
            text += file;
            if (line > 0) text.append(":").append(std::to_string(line));
            text += ": ";
        }
        if (!field.empty()) text.append(field).append(": ");
        text += what;
        if (!mend.empty()) text.append("; ").append(mend);
        return text;
    }

    [[nodiscard]] bool operator==(const Error &) const = default;
};

/// An error about no file and no field.
[[nodiscard]] inline Error error_of(std::string what, std::string mend = {}) {
    return {.what = std::move(what), .file = {}, .line = 0, .field = {}, .mend = std::move(mend)};
}

/// An error about a field or a command's argument.
[[nodiscard]] inline Error error_in(std::string field, std::string what, std::string mend = {}) {
    return {.what = std::move(what), .file = {}, .line = 0, .field = std::move(field), .mend = std::move(mend)};
}

} // namespace fairlead
