// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fairlead::cli {

Table::Table(std::vector<std::string> headings) {
    for (std::string &heading : headings) {
        is_right_.push_back(heading.starts_with('>'));
        if (is_right_.back()) heading.erase(0, 1);
    }
    lines_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> cells) {
    cells.resize(is_right_.size());
    lines_.push_back(std::move(cells));
}

std::string Table::format() const {
    std::vector<std::size_t> widths(is_right_.size());
    for (const auto &line : lines_)
        for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
    std::string text;
    for (const auto &line : lines_) {
        std::string row;
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (i > 0) row += "  ";
            row += is_right_[i] ? fmt::format("{:>{}}", line[i], widths[i]) : fmt::format("{:<{}}", line[i], widths[i]);
        }
        row.erase(row.find_last_not_of(' ') + 1);
        text += row + '\n';
    }
    return text;
}

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, ",");
    return text;
}

} // namespace fairlead::cli
