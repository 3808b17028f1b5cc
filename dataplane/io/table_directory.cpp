// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/table_directory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

namespace fairlead::io {

namespace {

namespace fs = std::filesystem;

constexpr const char *kSharedMemory = "/dev/shm";
constexpr std::size_t kInheritedCountMax = 256; // each costs a packet without an entry two more lines

/// FNV-1a (Fowler, Noll, Vo): tells texts apart that nobody chose to be alike.
wire::u64 digest_of(std::string_view text) {
    wire::u64 digest = 0xcbf29ce484222325;
    for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return digest;
}

std::string read_boot_id() {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id;
}

template <std::size_t N> void copy_text(char (&to)[N], std::string_view text) {
    std::memcpy(to, text.data(), std::min(text.size(), N - 1));
}

template <std::size_t N> std::string_view text_of(const char (&text)[N]) { return {text, ::strnlen(text, N)}; }

/// Without symbolic links, so that the same directory is always the same path.
fs::path real(const fs::path &path) {
    std::error_code error;
    auto result = fs::weakly_canonical(fs::absolute(path), error);
    return error ? path : result;
}

/// Whether a directory entry is a file that this user made. /dev/shm is everyone's to write to: what stands there under our
/// names may be another's, or a link to what is not ours to remove.
bool is_own_file(const fs::path &path) {
    struct stat status{};
    return ::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == ::geteuid();
}

std::size_t bytes_free(const fs::path &directory) {
    struct statfs status{};
    if (::statfs(directory.c_str(), &status) != 0) return 0;
    if (status.f_blocks == 0) return TablePlace::kNoLimit; // size=0, or ramfs
    return static_cast<std::size_t>(status.f_bavail) * static_cast<std::size_t>(status.f_bsize);
}

} // namespace

TableDirectory::TableDirectory(const fs::path &runtime_directory, const fs::path &chosen, std::vector<HugepageMount> mounts)
    : chosen_(chosen.empty() ? chosen : real(chosen)), runtime_directory_(real(runtime_directory)), mounts_(std::move(mounts)) {
    for (auto &mount : mounts_) mount.directory = real(mount.directory);
    const auto path = runtime_directory_.string();
    base_ = fmt::format("fairlead-{}-{:08x}.", fs::path(path).filename().string().substr(0, 64), digest_of(path) & 0xffffffff);
}

/// Wherever a run with other options may have put them.
std::vector<fs::path> TableDirectory::left_files() const {
    std::vector<fs::path> directories{runtime_directory_, real(kSharedMemory)};
    if (!chosen_.empty()) directories.push_back(chosen_);
    for (const auto &mount : mounts_) directories.push_back(mount.directory);
    std::vector<fs::path> files;
    for (const auto &directory : directories) {
        std::error_code error;
        for (const auto &entry : fs::directory_iterator(directory, error))
            if (entry.path().filename().string().starts_with(base_) && is_own_file(entry.path())) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    files.erase(std::ranges::unique(files).begin(), files.end());
    return files;
}

void TableDirectory::forget() const {
    for (const auto &file : left_files()) {
        // One that a process has is that process's: it may have the same runtime directory in another mount namespace.
        const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!opened || ::flock(opened.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(file.c_str());
    }
}

/// Those that can be used. The others are removed, with one line for each reason.
std::vector<TableMemory> TableDirectory::open_left(const std::string &boot_id) const {
    std::vector<TableMemory> tables;
    std::map<std::string, unsigned> dropped;
    for (const auto &file : left_files()) {
        auto table = TableMemory::open(file);
        std::string why;
        if (!table) why = table.error();
        else if (text_of(table->header().boot_id) != boot_id) why = "of another boot: their ages mean nothing";
        else if (table->header().key_digest == 0) why = "empty, or its process died while it changed the seed";
        else if (tables.size() >= kInheritedCountMax) why = fmt::format("more than {}", kInheritedCountMax);
        if (why.empty()) {
            tables.push_back(std::move(*table));
            continue;
        }
        if (why == TableMemory::kInUse) {
            spdlog::warn("{}: {}", file.string(), why); // by who has the same runtime directory in another mount namespace
            continue;
        }
        ++dropped[why];
        ::unlink(file.c_str());
    }
    for (const auto &[why, count] : dropped) spdlog::info("{} connection table(s) of an earlier run dropped: {}", count, why);
    return tables;
}

Result<TablePlace> TableDirectory::chosen_place() const {
    std::error_code error;
    auto existing = chosen_;
    while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
    switch (filesystem_of(existing)) {
        case Filesystem::kMemory: return TablePlace{.directory = chosen_, .bytes_free = bytes_free(existing)};
        case Filesystem::kHugepages:
            return TablePlace{.directory = chosen_, .page_bytes = hugepage_bytes_of(existing), .bytes_free = hugepage_bytes_granted(existing)};
        case Filesystem::kDisk: break;
    }
    return std::unexpected(fmt::format("--table-directory {}: on a disk, to which its pages would be written all the time; "
                                       "choose a directory on tmpfs or hugetlbfs", chosen_.string()));
}

Result<TableMemory> TableDirectory::create(const fs::path &directory, const TableHeader &header) const {
    for (unsigned number = 0;; ++number) {
        const auto path = directory / fmt::format("{}{}-{}-of-{}.{}", base_, header.kind == TableKind::kCompact ? "compact" : "wide",
                                                  header.worker, header.worker_count, number);
        if (std::error_code error; fs::exists(fs::symlink_status(path, error))) continue;
        return TableMemory::create(path, header);
    }
}

namespace {

TableHeader make_header(const TableShape &shape, TableKind kind, unsigned worker, const std::string &boot_id) {
    TableHeader header{};
    header.magic = kTableMagic;
    header.layout = kTableLayout;
    header.kind = kind;
    header.line_count = (kind == TableKind::kCompact ? shape.compact_bytes : shape.wide_bytes) / kTableLineSize;
    header.spread_digest = digest_of(shape.spread);
    header.worker = worker;
    header.worker_count = shape.worker_count;
    copy_text(header.boot_id, boot_id);
    copy_text(header.spread, shape.spread);
    return header;
}

bool is_for_same_place(const TableHeader &header, const TableHeader &other) {
    return other.kind == header.kind && other.worker == header.worker && other.worker_count == header.worker_count &&
           other.line_count == header.line_count;
}

struct LeftTable {
    fs::path directory;
    TableHeader header;
};

/// For each worker the compact, then the wide table: whether it is there.
std::vector<bool> find_in(const fs::path &directory, const std::vector<LeftTable> &left, const TableShape &shape,
                          const std::function<bool(const TableHeader &)> &is_same_spread) {
    std::vector<bool> found;
    for (unsigned worker = 0; worker < shape.worker_count; ++worker)
        for (const TableKind kind : {TableKind::kCompact, TableKind::kWide}) {
            const TableHeader header = make_header(shape, kind, worker, {});
            found.push_back(std::ranges::any_of(left, [&](const LeftTable &table) {
                return table.directory == directory && is_for_same_place(header, table.header) && is_same_spread(table.header);
            }));
        }
    return found;
}

/// What is not there yet.
std::size_t bytes_missing(const TableShape &shape, const std::vector<bool> &found) {
    std::size_t bytes = 0;
    for (std::size_t table = 0; table < found.size(); ++table)
        if (!found[table]) bytes += (table % 2 == 0 ? shape.compact_bytes : shape.wide_bytes) + kTableHeaderSize;
    return bytes;
}

/// Takes the table out of `left` that was written for this very place.
std::optional<TableMemory> take_same(std::vector<TableMemory> &left, const fs::path &directory, const TableHeader &header) {
    std::optional<TableMemory> same;
    std::vector<TableMemory> others;
    for (auto &table : left) {
        const TableHeader &other = table.header();
        const bool fits = !same && table.path().parent_path() == directory && is_for_same_place(header, other) &&
                          other.spread_digest == header.spread_digest;
        if (fits) same.emplace(std::move(table));
        else others.push_back(std::move(table));
    }
    left.swap(others);
    return same;
}

} // namespace

Result<std::vector<TablePlace>> TableDirectory::places(const TableShape &shape, bool hugepages,
                                                       const std::function<bool(std::string_view)> &is_same) const {
    // An empty one, or one of another boot, is made anew, in the memory that it had.
    std::vector<LeftTable> left;
    for (const auto &file : left_files())
        if (const auto header = TableMemory::read_header(file)) left.push_back({file.parent_path(), *header});
    const auto find = [&](const fs::path &directory) {
        return find_in(directory, left, shape, [&](const TableHeader &header) { return is_same(text_of(header.spread)); });
    };
    std::vector<TablePlace> places;
    if (!chosen_.empty()) {
        auto chosen = chosen_place();
        if (!chosen) return std::unexpected(chosen.error());
        chosen->is_there = find(chosen_);
        places.push_back(std::move(*chosen));
        return places;
    }
    if (hugepages)
        for (const auto &mount : mounts_)
            places.push_back({.directory = mount.directory, .page_bytes = mount.page_bytes, .bytes_free = mount.bytes_granted,
                              .is_there = find(mount.directory)});
    // What is there is looked for first where most of it is.
    std::ranges::stable_sort(places, std::greater{}, [](const TablePlace &place) { return std::ranges::count(place.is_there, true); });
    if (!places.empty()) return places;

    const auto will_do = [&](const fs::path &directory, std::size_t times) {
        return filesystem_of(directory) == Filesystem::kMemory && ::access(directory.c_str(), W_OK) == 0 &&
               bytes_free(directory) >= times * bytes_missing(shape, find(directory));
    };
    fs::path directory; // none: in this process's memory
    if (will_do(runtime_directory_, 2)) directory = runtime_directory_; // /run is everyone's: not the last of it
    else if (will_do(real(kSharedMemory), 1)) directory = real(kSharedMemory);
    places.push_back({.directory = directory, .is_there = directory.empty() ? std::vector<bool>(2 * std::size_t{shape.worker_count}) : find(directory)});
    return places;
}

Result<TableDirectory::Tables> TableDirectory::take(const TableShape &shape, const TablePlace &place) const {
    const auto boot_id = read_boot_id();
    auto left = open_left(boot_id);
    const auto &directory = place.directory;
    if (directory.empty()) {
        const auto bytes = bytes_missing(shape, std::vector<bool>(2 * std::size_t{shape.worker_count}));
        spdlog::warn("no tmpfs has {} MB for connection tables: a restart will lose all connections (--table-directory)", (bytes >> 20) + 1);
        auto made = allocate(shape, place.page_bytes);
        if (made) made->inherited = std::move(left);
        return made;
    }

    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return std::unexpected(fmt::format("{}{}: {}", chosen_.empty() ? "" : "--table-directory ", directory.string(), error.message()));

    Tables tables;
    tables.place = directory.string();
    for (unsigned worker = 0; worker < shape.worker_count; ++worker) {
        for (const TableKind kind : {TableKind::kCompact, TableKind::kWide}) {
            const TableHeader header = make_header(shape, kind, worker, boot_id);
            auto &mine = kind == TableKind::kCompact ? tables.compact : tables.wide;
            if (auto same = take_same(left, directory, header)) {
                tables.key_digest = same->header().key_digest;
                tables.were_in_use |= same->header().is_in_use != 0;
                mine.push_back(std::move(*same));
                continue;
            }
            auto made = create(directory, header);
            if (!made) return std::unexpected(made.error());
            mine.push_back(std::move(*made));
        }
    }
    if (!left.empty())
        spdlog::info("{} connection table(s) of an earlier run are inherited: written for '{}', {} lines; this is '{}', {} lines", left.size(),
                     text_of(left.front().header().spread), left.front().header().line_count, shape.spread,
                     shape.compact_bytes / kTableLineSize);
    tables.inherited = std::move(left);
    return tables;
}

Result<TableDirectory::Tables> TableDirectory::allocate(const TableShape &shape, std::size_t hugepage_bytes) {
    Tables tables;
    for (unsigned worker = 0; worker < shape.worker_count; ++worker) {
        auto compact = TableMemory::allocate(shape.compact_bytes, hugepage_bytes);
        if (!compact) return std::unexpected(compact.error());
        auto wide = TableMemory::allocate(shape.wide_bytes, hugepage_bytes);
        if (!wide) return std::unexpected(wide.error());
        tables.compact.push_back(std::move(*compact));
        tables.wide.push_back(std::move(*wide));
    }
    return tables;
}

bool TableDirectory::Tables::has_found() const { return key_digest != 0; }

void TableDirectory::Tables::keep() {
    for (auto *tables : {&compact, &wide})
        for (auto &table : *tables) {
            table.keep();
            table.header().is_in_use = 1;
        }
}

} // namespace fairlead::io
