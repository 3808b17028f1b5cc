// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/state_file.hpp"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace fairlead::state {

namespace {

constexpr const char *kFileName = "state.json";
constexpr const char *kTemporaryName = "state.json.new";

Error about(const std::string &path, std::string_view step, int error_number, std::string mend) {
    return {.what = fmt::format("{}: {}", step, std::generic_category().message(error_number)),
            .file = path, .line = 0, .field = {}, .mend = std::move(mend)};
}

bool write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(descriptor, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

/// Writes and syncs a new file beside the old one; its errno, or 0.
int write_temporary(int directory, std::string_view text) {
    const int file = ::openat(directory, kTemporaryName, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return errno;
    int failure = 0;
    // A temporary file left by a crash may have had another mode.
    if (::fchmod(file, 0600) != 0 || !write_all(file, text) || ::fsync(file) != 0) failure = errno;
    if (::close(file) != 0 && failure == 0) failure = errno;
    return failure;
}

} // namespace

BootClock BootClock::read() {
    BootClock clock;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> clock.boot_id;
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    clock.now_s = static_cast<std::uint64_t>(now.tv_sec);
    return clock;
}

StateFile::StateFile(std::string path, int directory_descriptor)
    : path_(std::move(path)), directory_(directory_descriptor) {}

StateFile::StateFile(StateFile &&other) noexcept
    : path_(std::move(other.path_)), directory_(std::exchange(other.directory_, -1)) {}

StateFile::~StateFile() {
    if (directory_ >= 0) ::close(directory_);
}

std::expected<StateFile, Error> StateFile::open(const std::string &directory) {
    std::error_code failure;
    if (!std::filesystem::exists(directory, failure)) {
        std::filesystem::create_directories(directory, failure);
        if (!failure) std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failure);
        if (failure)
            return std::unexpected(about(directory, "cannot make the state directory", failure.value(),
                                         "give another --state-dir or make it writable"));
    }
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return std::unexpected(about(directory, "cannot open the state directory", errno,
                                     "give a --state-dir that this user may use"));
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        const int error_number = errno;
        ::close(descriptor);
        return std::unexpected(about(directory, error_number == EWOULDBLOCK ? "another fairleadd uses it" : "cannot lock it",
                                     error_number, "stop the other one or give another --state-dir"));
    }
    return StateFile(directory + "/" + kFileName, descriptor);
}

std::expected<std::optional<DesiredState>, Error> StateFile::load(const BootClock &clock) const {
    std::error_code failure;
    const bool exists = std::filesystem::exists(path_, failure);
    if (!exists && !failure) return std::nullopt;
    std::ifstream stream(path_, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    if (failure || !stream)
        return std::unexpected(about(path_, "cannot read the saved state", failure ? failure.value() : errno,
                                     "make it readable; it is not replaced"));
    auto state = parse_state(text, path_, clock);
    if (!state) return std::unexpected(std::move(state.error()));
    return std::move(*state);
}

std::expected<void, Error> StateFile::save(const DesiredState &state, const BootClock &clock) const {
    int failure = write_temporary(directory_, format_state(state, clock));
    if (failure == 0 && ::renameat(directory_, kTemporaryName, directory_, kFileName) != 0) failure = errno;
    if (failure != 0) {
        ::unlinkat(directory_, kTemporaryName, 0);
        return std::unexpected(about(path_, "cannot save the state", failure, "look at the disk's space and permissions"));
    }
    // The new state has its name: to refuse it now would leave the file saying otherwise than the answer.
    if (::fsync(directory_) != 0)
        spdlog::warn("{}", about(path_, "saved, but a power failure may bring the state before back", errno,
                                 "look at the disk").format());
    return {};
}

} // namespace fairlead::state
