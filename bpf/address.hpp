// SPDX-License-Identifier: Apache-2.0
/// Addresses as keys of the BPF programs' maps.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "dataplane/wire/bpf_maps.h"

namespace fairlead::bpf {

/// What the functions of this directory return: a value, or one line that says what is wrong.
template <class T>
using Result = std::expected<T, std::string>;

[[nodiscard]] wire::AddressKey key_of(wire::Be32 ipv4_address);

/// An IPv4 address in dotted form. The error names the text.
[[nodiscard]] Result<wire::AddressKey> parse_address(std::string_view text);

[[nodiscard]] std::string format_address(const wire::AddressKey &key);

} // namespace fairlead::bpf
