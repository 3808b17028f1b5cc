// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/generation_copy.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

namespace fairlead::io {

namespace {

namespace fs = std::filesystem;

constexpr const char *kDirectory = "generation";
constexpr const char *kCurrent = "current";
constexpr const char *kFormat = "fairlead-generation-1";
constexpr auto kPeriod = std::chrono::milliseconds(20); // a restart within it runs the generation before
constexpr auto kRetryPeriod = std::chrono::seconds(1);

bool write_all(int file, std::span<const std::byte> content) {
    while (!content.empty()) {
        const ssize_t written = ::write(file, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        content = content.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

/// All of it or nothing: under another name first, on the disk before it has its own.
Result<void> write_whole(const fs::path &path, std::span<const std::byte> content) {
    const fs::path unborn = path.string() + ".new";
    Descriptor file(::open(unborn.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return cannot("make", unborn, errno);
    if (!write_all(file.get(), content) || ::fsync(file.get()) != 0 || ::rename(unborn.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(unborn.c_str());
        return cannot("write", path, error);
    }
    return {};
}

/// A file as a sealed memory file: what a control plane would have sent.
Result<Descriptor> sealed_copy(const fs::path &path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return cannot("open", path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::unexpected(path.string() + ": no file");
    Descriptor memory(::memfd_create("fairlead-copy", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!memory) return cannot("copy", path, errno);
    for (auto left = static_cast<std::size_t>(status.st_size); left > 0;) {
        const ssize_t copied = ::sendfile(memory.get(), file.get(), nullptr, left);
        if (copied < 0 && errno == EINTR) continue;
        if (copied <= 0) return cannot("read", path, copied == 0 ? EIO : errno);
        left -= static_cast<std::size_t>(copied);
    }
    if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return cannot("seal", path, errno);
    return memory;
}

} // namespace

Result<std::unique_ptr<GenerationCopy>> GenerationCopy::open(const fs::path &state_directory) {
    const fs::path directory = state_directory / kDirectory;
    std::error_code error;
    fs::create_directories(state_directory, error);
    if (error) return cannot("make", state_directory, error.value());
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return cannot("make", directory, errno);
    Descriptor lock(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock) return cannot("open", directory, errno);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
        return std::unexpected(fmt::format("{} is in use by another dataplane: one a state directory (--state-directory)", directory.string()));
    return std::unique_ptr<GenerationCopy>(new GenerationCopy(directory, std::move(lock)));
}

GenerationCopy::GenerationCopy(fs::path directory, Descriptor lock)
    : directory_(std::move(directory)), lock_(std::move(lock)), thread_([this] { run(); }) {}

GenerationCopy::~GenerationCopy() {
    {
        const std::lock_guard guard(mutex_);
        ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void GenerationCopy::forget(const fs::path &state_directory) {
    std::error_code error;
    fs::remove_all(state_directory / kDirectory, error);
}

Result<wire::u64> GenerationCopy::restore(Adoption &adoption) {
    std::ifstream current(directory_ / kCurrent);
    if (!current) return wire::u64{0};
    std::string format, root_name;
    wire::u64 number = 0;
    if (!(current >> format >> number >> root_name) || format != kFormat)
        return std::unexpected(fmt::format("{}: not of the format {}", (directory_ / kCurrent).string(), kFormat));
    SegmentSet held;
    wire::u64 id = 0;
    for (std::string name; current >> id >> name;) {
        if (name.find('/') != std::string::npos) return std::unexpected(fmt::format("{}: not the name of a segment", name));
        const auto segment = sealed_copy(directory_ / name);
        if (!segment) return std::unexpected(segment.error());
        if (auto refusal = held.take(segment->get(), id); !refusal.empty()) return std::unexpected(name + ": " + refusal);
    }
    if (root_name.find('/') != std::string::npos) return std::unexpected(fmt::format("{}: not the name of a root", root_name));
    const auto root = sealed_copy(directory_ / root_name);
    if (!root) return std::unexpected(root.error());
    if (auto refusal = adoption.adopt_restored(root->get(), number, held); !refusal.empty()) return std::unexpected(refusal);
    offered_ = number; // it stands there already
    return number;
}

void GenerationCopy::follow(const GenerationStore &store) {
    if (store.number() == offered_) return;
    offered_ = store.number();
    const AdoptedGeneration &running = store.running();
    {
        const std::lock_guard guard(mutex_);
        pending_ = Offer{offered_, running.root, running.segments};
    }
    changed_.notify_all();
}

void GenerationCopy::run() {
    bool failed = false;
    for (std::unique_lock lock(mutex_);;) {
        changed_.wait(lock, [this] { return pending_ || ends_; });
        if (!pending_) return;
        Offer offer = *std::exchange(pending_, std::nullopt);
        lock.unlock();
        const auto written = write(offer);
        if (!written && !failed) spdlog::warn("no copy of generation {} on disk: {}; trying again", offer.number, written.error());
        failed = !written;
        lock.lock();
        if (failed && ends_) return;
        if (failed && !pending_) pending_ = std::move(offer);
        changed_.wait_for(lock, failed ? kRetryPeriod : kPeriod, [this] { return ends_; });
    }
}

Result<void> GenerationCopy::write(const Offer &offer) {
    std::set<std::string> named{kCurrent};
    const auto root = write_segment(fmt::format("root-{}", offer.number), offer.root->bytes());
    if (!root) return std::unexpected(root.error());
    named.insert(*root);
    std::string current = fmt::format("{} {} {}\n", kFormat, offer.number, *root);
    for (const auto &segment : offer.segments.checked()) {
        const auto name = write_segment(fmt::format("segment-{}", segment.id), segment.bytes);
        if (!name) return std::unexpected(name.error());
        named.insert(*name);
        current += fmt::format("{} {}\n", segment.id, *name);
    }
    ::fsync(lock_.get()); // the segments' names
    if (auto done = write_whole(directory_ / kCurrent, std::as_bytes(std::span(current))); !done) return done;
    ::fsync(lock_.get());
    remove_unnamed(named);
    std::erase_if(written_, [&](const std::string &name) { return !named.contains(name); });
    return {};
}

/// The checksum in the name: another control plane may use an id for something else.
Result<std::string> GenerationCopy::write_segment(const std::string &stem, std::span<const std::byte> bytes) {
    wire::SegmentHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::string name = fmt::format("{}-{:08x}-{}", stem, header.checksum, bytes.size());
    if (written_.contains(name)) return name;
    if (auto done = write_whole(directory_ / name, bytes); !done) return std::unexpected(done.error());
    written_.insert(name);
    return name;
}

void GenerationCopy::remove_unnamed(const std::set<std::string> &named) const {
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(directory_, error))
        if (const std::string name = entry.path().filename(); !named.contains(name)) ::unlink(entry.path().c_str());
}

} // namespace fairlead::io
