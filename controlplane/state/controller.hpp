// SPDX-License-Identifier: Apache-2.0
/// fairleadd's core: turns changes into generations.
///
///   change -> Config -> leases -> row tables -> next hops -> snapshot -> saved -> published
///
/// One thread owns the desired state and does all of this, one change after the other; everyone else
/// posts to it and waits, or reads the View it left behind. A change is saved before it is published:
/// a crash at any moment loses at most a change that nobody was told is done. A change that the
/// dataplane refuses is taken back whole, and the state before is saved again.
///
/// Without a dataplane changes are saved; when one connects it gets the whole state as a new
/// generation. So it does when a next hop changes, when health checks find a backend otherwise than
/// it was, and when the slot of a removed backend is to be freed at last.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <expected>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/health/engine.hpp"
#include "controlplane/metrics/statistics.hpp"
#include "controlplane/nexthop/resolver.hpp"
#include "controlplane/publish/publisher.hpp"
#include "controlplane/state/blackholes.hpp"
#include "controlplane/state/forwarding_state.hpp"
#include "controlplane/state/mutations.hpp"
#include "controlplane/state/row_sets.hpp"
#include "controlplane/state/snapshot_factory.hpp"
#include "controlplane/state/state_file.hpp"

namespace fairlead::state {

struct ControllerOptions {
    std::string state_directory;
    std::string dataplane_socket;
    std::string config_file;            ///< empty: none
    bool has_vip_blackholes = true;
    bool has_health_checks = true;      ///< false: nothing is probed, grades stay as saved
    std::chrono::milliseconds settle{500}; ///< how long a change waits for the next hops of new backends
};

/// A change that is done.
struct ChangeOutcome {
    std::uint64_t generation = 0;
    bool is_adopted = false;           ///< by the dataplane; false: saved, and published when it connects
    std::vector<std::string> warnings; ///< each a sentence for the operator
};

struct ChangeRefusal {
    enum class Kind {
        kRequest,   ///< the request, or what would come of it, is wrong
        kDataplane, ///< the dataplane refused the generation; it is taken back
        kSystem,    ///< the state could not be saved, or memory files not be made
    };
    Kind kind;
    Error error;
};

/// The state as it stands, for readers on any thread.
struct View {
    struct ServiceView {
        std::string name;
        std::uint64_t rows_digest = 0;
        std::uint32_t row_count = 0;
        std::uint64_t history_digest = 0;      ///< of the sets of backends that are remembered
        std::uint32_t history_sets = 0;
        std::uint32_t backends = 0;
        std::uint32_t backends_taking = 0;     ///< neither drained nor of weight 0, and up
        ServiceHealth health;
        std::vector<wire::Be32> backends_unresolved; ///< without a next hop
    };
    config::Config config;
    std::uint64_t generation = 0; ///< the desired one
    std::string config_digest;    ///< of the text that was applied last
    std::vector<ServiceView> services; ///< in the order of config.services
    HealthRecord health;          ///< as found
    std::vector<std::string> warnings; ///< what is not as it should be, now
};

/// How the --config file stands to what runs.
enum class FileStanding {
    kNone,        ///< no file was given
    kSame,        ///< it says what runs
    kUnchanged,   ///< it is as it was when it was applied; the state has changed since through the API
    kDiffers,     ///< it says something else than what runs
    kUnreadable,  ///< missing or invalid
};

class Controller {
  public:
    using Mutation = std::function<Changed(const config::Config &)>;
    struct ChangeOptions {
        bool is_dry_run = false;        ///< check everything, change nothing
        bool is_forced = false;         ///< remove backends whatever connections they have
        std::string config_digest = {}; ///< not empty: of the whole text that is applied
        const DesiredState *imported = nullptr; ///< seed, leases, histories and health to go on from, instead of those that stand
    };

    /// Loads the saved state, or begins from the file when there is none, and starts.
    ///
    /// The rule: a saved state always wins over the file, so that a restart at a bad moment never
    /// brings half an edit to life. An edited file is applied when the operator says so: `fairlead
    /// apply -f FILE`, or SIGHUP. At start a difference is logged.
    [[nodiscard]] static std::expected<std::unique_ptr<Controller>, Error>
    start(ControllerOptions options, std::shared_ptr<metrics::Statistics> statistics);
    ~Controller();
    Controller(const Controller &) = delete;
    Controller &operator=(const Controller &) = delete;

    /// Returns when the dataplane runs the change, or when it is saved and there is no dataplane.
    [[nodiscard]] std::expected<ChangeOutcome, ChangeRefusal> change(Mutation mutation, ChangeOptions options);

    /// Parses `text` and makes it the whole configuration.
    [[nodiscard]] std::expected<ChangeOutcome, ChangeRefusal> apply(std::string_view text, const std::string &file_name,
                                                                    bool is_dry_run, bool is_forced = false);

    /// The state as text, the seed included; import_state() of another balancer takes it.
    [[nodiscard]] std::expected<std::string, Error> export_state();

    /// Takes another balancer's state over as one change: configuration, seed, leases, quarantines (which begin anew),
    /// histories and health. What names this host on its links stays: balancer.source_address and next_hop_mac.
    [[nodiscard]] std::expected<ChangeOutcome, ChangeRefusal> import_state(std::string_view text, const std::string &file_name,
                                                                           bool is_forced = false);

    /// Has the controller's thread call this, after what it was asked for before. Not once the controller ends.
    void post(std::function<void()> task);

    [[nodiscard]] std::shared_ptr<const View> view() const;
    [[nodiscard]] publish::PublisherStatus dataplane() const { return publisher_->status(); }
    [[nodiscard]] FileStanding file_standing() const; ///< reads the file
    [[nodiscard]] std::string next_hop_trouble() const { return resolver_->trouble(); }
    [[nodiscard]] const std::string &config_file() const { return options_.config_file; }

  private:
    /// Everything that a change replaces, and that a refusal puts back.
    struct Standing {
        DesiredState state;
        RowSet rows;
    };
    using Done = std::expected<ChangeOutcome, ChangeRefusal>;

    Controller(ControllerOptions options, std::shared_ptr<metrics::Statistics> statistics, StateFile file);
    [[nodiscard]] std::expected<void, Error> begin();
    void log_file_standing() const;

    void run();
    [[nodiscard]] Done make_change(const Mutation &mutation, const ChangeOptions &options);
    void take_back(Standing before);
    void republish(std::string_view why);
    void take_changed_hops();
    void take_found_health();
    void free_departed();
    void follow_next_hops();
    void follow_health();
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_deadline() const;
    void describe_standing();
    [[nodiscard]] std::vector<std::string> next_hop_warnings() const;
    [[nodiscard]] std::expected<void, publish::PublishFailure> publish_standing();
    void take_refusal(const std::expected<void, publish::PublishFailure> &published);
    [[nodiscard]] std::uint64_t next_generation() const;
    [[nodiscard]] publish::ForwardingState forwarding_now() const;

    ControllerOptions options_;
    std::shared_ptr<metrics::Statistics> statistics_;

    // The controller's thread alone uses these.
    StateFile file_;
    Standing standing_;
    RowSets row_sets_;
    SnapshotFactory snapshot_factory_;
    std::vector<Hop> hops_published_;         ///< those of the generation adopted last
    Blackholes blackholes_;
    std::string refusal_; ///< of the generation published last; empty: none
    std::chrono::steady_clock::time_point retry_at_; ///< when what was refused is published again

    mutable std::mutex mutex_; ///< guards what follows
    std::condition_variable wakeup_;
    std::deque<std::function<void()>> tasks_;
    bool has_connected_ = false;
    bool have_hops_changed_ = false;
    bool has_health_changed_ = false;
    bool is_stopping_ = false;
    std::shared_ptr<const View> view_;

    std::unique_ptr<nexthop::NextHopResolver> resolver_;
    std::unique_ptr<publish::Publisher> publisher_;
    std::shared_ptr<health::Tally> tally_ = std::make_shared<health::Tally>();
    std::unique_ptr<health::Engine> health_; ///< null: nothing is probed
    std::thread thread_; ///< last: it uses all of the above
};

} // namespace fairlead::state
