// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/process.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace fairlead::publish {

namespace {

using Clock = std::chrono::steady_clock;

Descriptor open_process(pid_t pid) { return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

} // namespace

Descriptor peer_process(int socket) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) return {};
    Descriptor process = open_process(peer.pid);
    if (!process && errno == ESRCH) return Descriptor(::eventfd(1, EFD_CLOEXEC)); // readable, as that of one that has ended
    return process;
}

Descriptor lock_holder(const std::string &path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    const std::string inode = fmt::format(":{}", status.st_ino);
    const std::string wanted = fmt::format("{:02x}:{:02x}{}", major(status.st_dev), minor(status.st_dev), inode);
    pid_t named = 0; // where stat() has another device than the kernel's list, as on overlayfs and btrfs
    std::ifstream(path) >> named;
    std::ifstream locks("/proc/locks"); // 1: FLOCK  ADVISORY  WRITE 4711 00:1a:815 0 EOF
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number, kind, mode, access, file;
        pid_t pid = 0;
        if (!(words >> number >> kind >> mode >> access >> pid >> file)) continue; // as of one that waits: 1: -> FLOCK ...
        if (kind == "FLOCK" && pid > 0 && (file == wanted || (pid == named && file.ends_with(inode)))) return open_process(pid);
    }
    return {};
}

bool is_readable_until(int descriptor, Clock::time_point until) {
    for (;;) {
        const auto left = std::max<long>(0, std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count());
        pollfd polled{descriptor, POLLIN, 0};
        const int ready = ::poll(&polled, 1, static_cast<int>(std::min<long>(left, 60'000)));
        if (ready > 0) return true;
        if ((ready == 0 || errno != EINTR) && left == 0) return false;
    }
}

} // namespace fairlead::publish
