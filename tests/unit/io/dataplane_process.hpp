// SPDX-License-Identifier: Apache-2.0
/// The whole program as a child process.
#pragma once

#include "dataplane/io/descriptor.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace fairlead::io::test {

class DataplaneProcess {
  public:
    /// Starts it with these arguments, and with --hugepages off, --idle backoff and small tables where they do not say otherwise, and with --forget but
    /// where they say --table-directory; stderr is kept.
    DataplaneProcess(const std::filesystem::path &runtime_directory, const std::vector<std::string> &arguments);
    ~DataplaneProcess(); ///< kills what still runs

    DataplaneProcess(const DataplaneProcess &) = delete;
    DataplaneProcess &operator=(const DataplaneProcess &) = delete;

    void signal(int number) const;
    /// Waits for the end. @return the exit code, or 128 + the signal's number.
    int wait();
    [[nodiscard]] std::string said(); ///< on stderr; complete after wait()
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    pid_t pid_ = -1;
    Descriptor stderr_; ///< a memory file
};

} // namespace fairlead::io::test
