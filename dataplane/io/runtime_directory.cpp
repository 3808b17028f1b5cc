// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/runtime_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <utility>

namespace fairlead::io {

namespace {

constexpr const char *kLockName = "dataplane.lock";

std::string read_owner(int lock) {
    char text[32] = {};
    const auto size = ::pread(lock, text, sizeof(text) - 1, 0);
    std::string owner(text, size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!owner.empty() && owner.back() == '\n') owner.pop_back();
    return owner.empty() ? "another process" : "process " + owner;
}

bool is_same_file(int descriptor, const std::filesystem::path &path) {
    struct stat opened{};
    struct stat named{};
    return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

} // namespace

Result<RuntimeDirectory> RuntimeDirectory::take(const std::filesystem::path &given) {
    std::error_code error;
    const auto path = std::filesystem::absolute(given, error).lexically_normal();
    if (error) return cannot("resolve", given, error.value());
    const bool made = std::filesystem::create_directories(path, error);
    if (error) return cannot("make", path, error.value());

    const auto lock_path = path / kLockName;
    for (;;) {
        Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
        if (!lock) return cannot("open", lock_path, errno);
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
            return std::unexpected(fmt::format("{} is in use by {}: one dataplane a runtime directory (--runtime-dir)",
                                               path.string(), read_owner(lock.get())));
        // Its owner may have removed the file between our open and our lock: a lock on a nameless file guards nothing.
        if (!is_same_file(lock.get(), lock_path)) continue;
        const std::string owner = std::to_string(::getpid()) + "\n";
        if (::ftruncate(lock.get(), 0) != 0 ||
            ::pwrite(lock.get(), owner.data(), owner.size(), 0) != static_cast<ssize_t>(owner.size()))
            return cannot("write", lock_path, errno);
        return RuntimeDirectory(path, std::move(lock), made);
    }
}

RuntimeDirectory::RuntimeDirectory(std::filesystem::path path, Descriptor lock, bool made)
    : path_(std::move(path)), lock_(std::move(lock)), made_(made) {}

RuntimeDirectory::~RuntimeDirectory() {
    if (!lock_) return; // moved from
    ::unlink((path_ / kLockName).c_str());
    if (made_) ::rmdir(path_.c_str()); // stays when someone else has put something in
}

} // namespace fairlead::io
