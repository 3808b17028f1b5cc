// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/scratch_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace fairlead::pktgen {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "fairlead-pktgen-";
constexpr std::string_view kPattern = "XXXXXX"; // mkdtemp's
constexpr int kAttemptCountMax = 10;

void remove_leftovers(const fs::path &parent) {
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(parent, error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + kPattern.size()) continue;
        const io::Descriptor directory(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct stat status{};
        if (!directory || ::fstat(directory.get(), &status) != 0 || status.st_uid != ::geteuid()) continue;
        if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) continue; // its process lives
        std::error_code ignored;
        fs::remove_all(entry.path(), ignored);
    }
}

} // namespace

io::Result<ScratchDirectory> ScratchDirectory::make(const fs::path &parent) {
    remove_leftovers(parent);
    const auto pattern = (parent / fmt::format("{}{}", kPrefix, kPattern)).string();
    const auto fail = [&] { return std::unexpected(fmt::format("cannot make {}: {}", pattern, std::strerror(errno))); };
    for (int attempt = 0; attempt < kAttemptCountMax; ++attempt) {
        std::string path = pattern;
        if (::mkdtemp(path.data()) == nullptr) return fail();
        io::Descriptor lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct stat status{};
        // Another process may have taken it for a leftover before it was locked.
        if (lock && ::flock(lock.get(), LOCK_EX) == 0 && ::fstat(lock.get(), &status) == 0 && status.st_nlink != 0)
            return ScratchDirectory(path, std::move(lock));
    }
    return fail();
}

ScratchDirectory::ScratchDirectory(fs::path path, io::Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

ScratchDirectory::ScratchDirectory(ScratchDirectory &&other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

ScratchDirectory::~ScratchDirectory() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
}

} // namespace fairlead::pktgen
