// SPDX-License-Identifier: Apache-2.0
/// The directory that holds the control socket, owned by one running dataplane at a time.
///
/// Ownership is a lock on DIR/dataplane.lock, which the kernel gives up with the process however that
/// ends: files of a dead instance are simply replaced. An orderly end removes the lock file, and the
/// directory if it was made here and is empty.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"

#include <filesystem>

namespace fairlead::io {

class RuntimeDirectory {
  public:
    /// Makes the directory where there is none and locks it. The error names the process that has it.
    [[nodiscard]] static Result<RuntimeDirectory> take(const std::filesystem::path &path);

    RuntimeDirectory(RuntimeDirectory &&) noexcept = default;
    RuntimeDirectory &operator=(RuntimeDirectory &&) = delete;
    ~RuntimeDirectory();

    [[nodiscard]] const std::filesystem::path &path() const { return path_; } ///< absolute

  private:
    RuntimeDirectory(std::filesystem::path path, Descriptor lock, bool made);

    std::filesystem::path path_;
    Descriptor lock_;
    bool made_;
};

} // namespace fairlead::io
