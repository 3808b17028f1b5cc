// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/sealed_segment.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/wire/snapshot.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U // Linux 6.3; Debian 12's headers are older
#endif

namespace fairlead::publish {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Error system_error(std::string_view call) {
    const int number = errno;
    return error_of(fmt::format("cannot seal a segment: {}: {}", call, std::strerror(number)),
                    number == EMFILE ? "raise the limit of open files (LimitNOFILE=)" : "");
}

const char *name_of_kind(std::uint32_t kind) {
    switch (kind) {
    case wire::kSegmentRoot: return "fairlead-root";
    case wire::kSegmentHops: return "fairlead-hops";
    case wire::kSegmentRows: return "fairlead-rows";
    default: return "fairlead-segment";
    }
}

/// Not executable where the kernel knows the flag (since 6.3, where leaving it out may be forbidden by
/// vm.memfd_noexec); an older one refuses flags that it does not know.
Descriptor create_memory_file(const char *name) {
    int number = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (number < 0 && errno == EINVAL) number = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return Descriptor(number);
}

/// By write(), never by a mapping: F_SEAL_WRITE needs that there is no writable mapping left.
bool write_all(int file, std::span<const std::byte> content) {
    while (!content.empty()) {
        const ssize_t written = ::write(file, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        content = content.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

} // namespace

SealedSegment::SealedSegment(Descriptor descriptor, std::uint64_t id, std::size_t size)
    : descriptor_(std::move(descriptor)), id_(id), size_(size) {}

std::expected<SealedSegment, Error> SealedSegment::seal(std::span<const std::byte> content) {
    wire::SegmentHeader header;
    if (content.size() < sizeof(header))
        return std::unexpected(error_of(fmt::format("a segment of {} bytes has no header", content.size())));
    std::memcpy(&header, content.data(), sizeof(header));
    if (header.magic != FAIRLEAD_SNAPSHOT_MAGIC || header.size != content.size())
        return std::unexpected(error_of(fmt::format("a segment's header does not fit its {} bytes", content.size())));

    const Descriptor writable = create_memory_file(name_of_kind(header.kind));
    if (!writable) return std::unexpected(system_error("memfd_create"));
    if (!write_all(writable.get(), content)) return std::unexpected(system_error("write"));
    if (::fcntl(writable.get(), F_ADD_SEALS, kSeals) != 0) return std::unexpected(system_error("F_ADD_SEALS"));

    // A descriptor that is open for writing cannot be mapped shared once sealed before Linux 6.7, not
    // even read-only, so the one that is handed out is opened anew.
    Descriptor readable(::open(fmt::format("/proc/self/fd/{}", writable.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!readable) return std::unexpected(system_error("reopening through /proc/self/fd"));
    return SealedSegment(std::move(readable), header.id, content.size());
}

} // namespace fairlead::publish
