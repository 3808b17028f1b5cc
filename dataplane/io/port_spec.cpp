// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/port_spec.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <utility>

namespace fairlead::io {

namespace {

constexpr std::size_t kRingNameSizeMax = 20; // DPDK's 29 characters, less its prefix and our suffix

std::unexpected<std::string> bad(std::string_view text, std::string_view why) {
    return std::unexpected(fmt::format("--port {}: {}", text, why));
}

/// DPDK takes device arguments as one string: what separates them cannot be part of one.
bool fits_device_argument(std::string_view value) { return value.find_first_of(",=[]\"'\\ ") == value.npos; }

bool is_hex(std::string_view digits) {
    return !digits.empty() && std::ranges::all_of(digits, [](char digit) {
        return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F');
    });
}

constexpr std::string_view kTwin = "twin=";

bool is_interface_name(std::string_view name) {
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." && name.find_first_of("/: %\t\n,") == name.npos;
}

/// A PCI address, [DDDD:]BB:DD.F in hexadecimal, with its domain; empty when it is none.
std::string full_pci_address(std::string_view text) {
    std::string full = text.size() == 7 ? "0000:" + std::string(text) : std::string(text);
    if (full.size() != 12 || full[4] != ':' || full[7] != ':' || full[10] != '.') return {};
    const std::string_view view = full;
    constexpr std::array<std::pair<unsigned, unsigned>, 3> kFields{{{0, 4}, {5, 2}, {8, 2}}};
    if (!std::ranges::all_of(kFields, [&](auto field) { return is_hex(view.substr(field.first, field.second)); }))
        return {};
    if (full[11] < '0' || full[11] > '7') return {};
    std::ranges::transform(full, full.begin(), [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
    return full;
}

Result<PortSpec> parse_pcap(std::string_view text, std::string_view files) {
    PortSpec spec{.kind = PortKind::kPcap, .name = {}, .rx_file = {}, .tx_file = {}, .twin = {}, .text = std::string(text)};
    while (!files.empty()) {
        const auto field = files.substr(0, files.find(','));
        files.remove_prefix(std::min(files.size(), field.size() + 1));
        const auto value = field.substr(std::min<std::size_t>(field.size(), 3));
        if (value.empty() || !fits_device_argument(value))
            return bad(text, "a capture is rx=FILE or tx=FILE; the file's name has no blanks, quotes, brackets, , = or \\");
        std::string &file = field.starts_with("rx=") ? spec.rx_file : spec.tx_file;
        if (!field.starts_with("rx=") && !field.starts_with("tx="))
            return bad(text, fmt::format("'{}' is neither rx=FILE nor tx=FILE", field));
        if (!file.empty()) return bad(text, fmt::format("'{}' is given twice", field.substr(0, 2)));
        file = value;
    }
    if (spec.rx_file.empty() && spec.tx_file.empty()) return bad(text, "needs rx=FILE, tx=FILE or both");
    return spec;
}

} // namespace

Result<PortSpec> parse_port_spec(std::string_view text) {
    const auto kind = text.substr(0, text.find(':'));
    const auto rest = text.substr(std::min(text.size(), kind.size() + 1));
    PortSpec spec{.kind = PortKind::kNull, .name = std::string(rest), .rx_file = {}, .tx_file = {}, .twin = {}, .text = std::string(text)};

    if (text == "null") return spec;
    if (kind == "pcap") return parse_pcap(text, rest);
    if (kind == "af_xdp") {
        spec.kind = PortKind::kAfXdp;
        if (rest.empty()) return bad(text, "names no interface; af_xdp:IFACE");
        if (rest.size() >= IFNAMSIZ || !fits_device_argument(rest)) return bad(text, "no interface can be named so");
        return spec;
    }
    if (kind == "ring") {
        spec.kind = PortKind::kRing;
        if (rest.empty() || rest.size() > kRingNameSizeMax || !fits_device_argument(rest))
            return bad(text, fmt::format("a ring's name has 1 to {} characters, no blanks or separators", kRingNameSizeMax));
        return spec;
    }
    spec.kind = PortKind::kPci;
    auto address = kind == "pci" ? rest : text;
    if (const auto comma = address.find(','); comma != address.npos) {
        const auto option = address.substr(comma + 1);
        address = address.substr(0, comma);
        if (!option.starts_with(kTwin) || !is_interface_name(option.substr(kTwin.size())))
            return bad(text, fmt::format("'{}' is not twin=NAME, the kernel's interface beside the NIC, or twin=none", option));
        spec.twin = option.substr(kTwin.size());
        spec.text.resize(spec.text.find(','));
    }
    spec.name = full_pci_address(address);
    if (!spec.name.empty()) return spec;
    if (kind == "pci") return bad(text, "a PCI address is DDDD:BB:DD.F, such as 0000:03:00.0");
    return bad(text, "is none of af_xdp:IFACE, pcap:rx=FILE,tx=FILE, ring:NAME, null, pci:ADDRESS");
}

} // namespace fairlead::io
