// SPDX-License-Identifier: Apache-2.0
/// The directory that EAL wants while it starts. A lock on it says that its process lives: the next one removes those that
/// killed processes left.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"

#include <filesystem>

namespace fairlead::pktgen {

class ScratchDirectory {
  public:
    /// Makes PARENT/fairlead-pktgen-XXXXXX, and removes this user's others there that no process has locked.
    [[nodiscard]] static io::Result<ScratchDirectory> make(const std::filesystem::path &parent);

    ScratchDirectory(ScratchDirectory &&other) noexcept;
    ScratchDirectory &operator=(ScratchDirectory &&) = delete;
    ~ScratchDirectory();

    [[nodiscard]] const std::filesystem::path &path() const { return path_; }

  private:
    ScratchDirectory(std::filesystem::path path, io::Descriptor lock);

    std::filesystem::path path_;
    io::Descriptor lock_;
};

} // namespace fairlead::pktgen
