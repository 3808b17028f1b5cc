// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/unbroken/response.hpp"

#include <charconv>
#include <strings.h>

namespace fairlead::lab {
namespace {

constexpr size_t kHeadSizeMax = 16384;

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    return text;
}

bool names(std::string_view line, std::string_view header) {
    return line.size() > header.size() && line[header.size()] == ':' &&
           ::strncasecmp(line.data(), header.data(), header.size()) == 0;
}

template <typename Number>
bool parse_number(std::string_view text, Number &number) {
    return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc{};
}

}  // namespace

std::optional<Response> parse_response(std::string_view input, bool &malformed) {
    const size_t head_size = input.find("\r\n\r\n");
    if (head_size == std::string_view::npos) {
        malformed = input.size() > kHeadSizeMax;
        return std::nullopt;
    }
    Response response;
    std::string_view head = input.substr(0, head_size);
    if (!head.starts_with("HTTP/1.1 ") || !parse_number(head.substr(9, 3), response.status)) {
        malformed = true;
        return std::nullopt;
    }
    size_t body_size = 0;
    bool has_length = false;
    while (!head.empty()) {
        const size_t end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        head = end == std::string_view::npos ? std::string_view{} : head.substr(end + 2);
        if (names(line, "X-Backend")) response.backend = trimmed(line.substr(10));
        if (names(line, "Content-Length")) has_length = parse_number(trimmed(line.substr(15)), body_size);
    }
    if (!has_length) {
        malformed = true;
        return std::nullopt;
    }
    response.length = head_size + 4 + body_size;
    if (input.size() < response.length) return std::nullopt;
    response.body = input.substr(head_size + 4, body_size);
    return response;
}

}  // namespace fairlead::lab
