// SPDX-License-Identifier: Apache-2.0
/// The copy of the last good generation on disk: what a dataplane that starts alone forwards with, at once.
///
/// DIR/generation/ holds each segment in a file that is written once and named after its content, and one small file,
/// `current`, that names those of one generation and is replaced by a rename. So whoever dies when, `current` names a
/// generation that is whole. Written by a thread of its own, some 20 ms apart at least: adoption never waits for a disk.
#pragma once

#include "dataplane/io/adoption.hpp"
#include "dataplane/io/generation_store.hpp"

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

namespace fairlead::io {

class GenerationCopy {
  public:
    /// Makes the directory where there is none, mode 0700: the root holds the fleet's seed. It is this process's alone.
    [[nodiscard]] static Result<std::unique_ptr<GenerationCopy>> open(const std::filesystem::path &state_directory);
    ~GenerationCopy(); ///< writes what was offered last

    GenerationCopy(const GenerationCopy &) = delete;
    GenerationCopy &operator=(const GenerationCopy &) = delete;

    /// Adopts the copy, if there is one and it is whole. @return its number, 0: there is none; or why it cannot be.
    [[nodiscard]] Result<wire::u64> restore(Adoption &adoption);

    /// Has the running generation written, unless it has been. Never waits for the disk.
    void follow(const GenerationStore &store);

    /// Removes what is there.
    static void forget(const std::filesystem::path &state_directory);

  private:
    struct Offer {
        wire::u64 number;
        std::shared_ptr<const SegmentMapping> root;
        SegmentSet segments;
    };

    GenerationCopy(std::filesystem::path directory, Descriptor lock);
    void run();
    [[nodiscard]] Result<void> write(const Offer &offer);
    [[nodiscard]] Result<std::string> write_segment(const std::string &stem, std::span<const std::byte> bytes);
    void remove_unnamed(const std::set<std::string> &named) const;

    std::filesystem::path directory_;
    Descriptor lock_; ///< of the directory
    wire::u64 offered_ = 0;
    std::set<std::string> written_; ///< files known to be whole; the thread's

    std::mutex mutex_; ///< for what follows
    std::condition_variable changed_;
    std::optional<Offer> pending_;
    bool ends_ = false;
    std::thread thread_; ///< last: it uses the rest
};

} // namespace fairlead::io
