// SPDX-License-Identifier: Apache-2.0
/// A directory of a test's own, removed with what is in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace fairlead::io::test {

class TemporaryDirectory {
  public:
    explicit TemporaryDirectory(const std::filesystem::path &parent = std::filesystem::temp_directory_path()) {
        std::string name = (parent / "fairlead-io-XXXXXX").string();
        if (::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~TemporaryDirectory() {
        std::error_code error;
        if (!path_.empty()) std::filesystem::remove_all(path_, error);
    }
    TemporaryDirectory(const TemporaryDirectory &) = delete;
    TemporaryDirectory &operator=(const TemporaryDirectory &) = delete;

    [[nodiscard]] const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

} // namespace fairlead::io::test
