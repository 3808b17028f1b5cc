// SPDX-License-Identifier: Apache-2.0
// One HTTP response in a buffer that grows as bytes arrive. Knows as much HTTP as the lab's nginx speaks: a status line,
// headers, a Content-Length, a body.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fairlead::lab {

struct Response {
    int status = 0;
    std::string_view backend;  // the header X-Backend; empty if there is none
    std::string_view body;
    size_t length = 0;         // of the whole response
};

// The response at the start of `input`, once it is complete; nothing before. Views into `input`.
// `malformed` is set if it can never become one.
std::optional<Response> parse_response(std::string_view input, bool &malformed);

}  // namespace fairlead::lab
