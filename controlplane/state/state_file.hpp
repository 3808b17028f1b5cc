// SPDX-License-Identifier: Apache-2.0
/// The desired state and its file.
///
/// The file is replaced whole: a temporary file is written, synced and renamed over it, and the
/// directory synced, so that a crash at any moment leaves the old state or the new one. It holds the
/// fleet's seed, so only its owner may read it. A file that was damaged or written by a newer
/// version is refused and left as it is; nothing ever begins anew in silence.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"
#include "controlplane/state/allocation.hpp"
#include "controlplane/state/health_record.hpp"
#include "controlplane/tables/backend_set.hpp"

namespace fairlead::state {

/// Which sets of backends each service had.
using Histories = std::map<ServiceKey, tables::SetHistory>;

struct DesiredState {
    config::Config config;
    Allocation allocation;
    Histories histories;           ///< of the tables of `seed`; the present sets are the first
    config::Seed seed{};           ///< the one in use: the configuration's, or the one made at first start
    std::uint64_t generation = 0;  ///< the highest number that may have been published
    HealthRecord health;           ///< what checks found of the configuration's backends
    std::string config_digest;     ///< digest_of() the --config file when it was last applied; empty: never

    [[nodiscard]] bool operator==(const DesiredState &) const = default;
};

/// The clock that quarantines are measured on, and which run of it.
struct BootClock {
    std::string boot_id; ///< changes with each boot of the machine
    std::uint64_t now_s = 0;

    /// Of this machine: CLOCK_BOOTTIME.
    [[nodiscard]] static BootClock read();
};

/// Tells a file from its edited self; not a protection against forgery.
[[nodiscard]] std::string digest_of(std::string_view text);

/// A state's text is no longer than this.
inline constexpr std::size_t kStateTextSizeMax = 48u << 20;

[[nodiscard]] std::string format_state(const DesiredState &state, const BootClock &clock);
/// `file_name` is for errors. Quarantines of another boot begin anew.
[[nodiscard]] std::expected<DesiredState, Error> parse_state(std::string_view text, const std::string &file_name,
                                                             const BootClock &clock);

/// DIRECTORY/state.json, held by one process at a time.
class StateFile {
  public:
    /// Makes the directory (0700) if need be and locks it. Errors: another process has it, no permission.
    [[nodiscard]] static std::expected<StateFile, Error> open(const std::string &directory);
    StateFile(StateFile &&other) noexcept;
    StateFile &operator=(StateFile &&) = delete;
    ~StateFile();

    /// Nothing when there is no file yet.
    [[nodiscard]] std::expected<std::optional<DesiredState>, Error> load(const BootClock &clock) const;
    [[nodiscard]] std::expected<void, Error> save(const DesiredState &state, const BootClock &clock) const;

    [[nodiscard]] const std::string &path() const { return path_; }

  private:
    StateFile(std::string path, int directory_descriptor);

    std::string path_;
    int directory_; ///< open and locked (flock) as long as this lives
};

} // namespace fairlead::state
