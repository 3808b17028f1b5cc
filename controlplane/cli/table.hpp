// SPDX-License-Identifier: Apache-2.0
/// Aligned columns of text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::cli {

class Table {
  public:
    /// A heading that begins with '>' makes a column of numbers, set to the right.
    explicit Table(std::vector<std::string> headings);

    void add(std::vector<std::string> cells);

    /// Lines, each with its end; the headings first.
    [[nodiscard]] std::string format() const;

  private:
    std::vector<bool> is_right_;
    std::vector<std::vector<std::string>> lines_;
};

/// 1234567 as "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t number);

} // namespace fairlead::cli
