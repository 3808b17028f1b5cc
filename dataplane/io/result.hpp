// SPDX-License-Identifier: Apache-2.0
/// What the functions of this directory return: a value, or one line that says what is wrong.
#pragma once

#include <expected>
#include <string>

namespace fairlead::io {

template <class T>
using Result = std::expected<T, std::string>;

} // namespace fairlead::io
