// SPDX-License-Identifier: Apache-2.0
/// The steering program of one AF_XDP port, over its life: a stale one is taken off the device, the object is
/// put where DPDK's driver can load it, and the addresses it steers follow the generations.
#pragma once

#include "bpf/steer.hpp"
#include "dataplane/io/result.hpp"

#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace fairlead::io {

class Steering {
  public:
    /// Clears the device of what a killed dataplane left and writes DIRECTORY/steer-INTERFACE.bpf.o.
    /// Refuses where a foreign program, or ours of a process that lives, is attached.
    [[nodiscard]] static Result<Steering> prepare(const std::string &interface, const std::filesystem::path &directory);

    /// Removes what a killed dataplane left in the directory for interfaces that are not its successor's: the files, and
    /// the programs, which would go on dropping packets for VIPs.
    static void clear_leftovers(const std::filesystem::path &directory, std::span<const Steering> successors);

    Steering(Steering &&other) noexcept;
    Steering &operator=(Steering &&) = delete;
    ~Steering(); ///< removes the file; the driver has detached the program when it closed the port

    [[nodiscard]] const std::string &interface() const { return interface_; }
    [[nodiscard]] const std::filesystem::path &object_path() const { return object_path_; }
    /// A killed dataplane's program was there: the kernel may still be letting go of its sockets.
    [[nodiscard]] bool was_stale() const { return was_stale_; }

    /// Finds the program that the driver has attached. To be called before add() and keep_only().
    [[nodiscard]] Result<void> attached();

    /// What became of the packets so far, by wire::SteerOutcome.
    [[nodiscard]] bpf::SteerCounts counts() const;

    /// Steers these too. On an error those that were new are not steered.
    [[nodiscard]] Result<void> add(std::span<const wire::Be32> vips);
    /// Steers no others any more. @param vips addresses as they stand on the wire.
    [[nodiscard]] Result<void> keep_only(const std::set<wire::u32> &vips);

  private:
    [[nodiscard]] Result<void> follow_device();
    Steering(std::string interface, std::filesystem::path object_path, bool was_stale);

    std::string interface_;
    std::filesystem::path object_path_;
    bool was_stale_;
    std::optional<bpf::Steer> program_;
    std::set<wire::u32> steered_;
};

} // namespace fairlead::io
