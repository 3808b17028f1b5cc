// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/controller.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "controlplane/state/directory.hpp"
#include "controlplane/state/first_state.hpp"
#include "controlplane/state/removal.hpp"

namespace fairlead::state {

namespace {

using Kind = publish::PublishFailure::Kind;

constexpr std::chrono::seconds kRetry{10};
constexpr std::chrono::milliseconds kCoalesce{5}; ///< backends that go together are one generation
constexpr const char *kNotConnected = "saved; dataplane not connected";

std::unexpected<ChangeRefusal> refused(ChangeRefusal::Kind kind, Error error) {
    return std::unexpected(ChangeRefusal{kind, std::move(error)});
}

/// Of a publication that no event will repeat (a new connection repeats the others); empty: none.
std::string reason_to_retry(const std::expected<void, publish::PublishFailure> &published) {
    const bool is_retried = !published && (published.error().kind == Kind::kRefused || published.error().kind == Kind::kStale);
    return is_retried ? published.error().error.format() : "";
}

} // namespace

Controller::Controller(ControllerOptions options, std::shared_ptr<metrics::Statistics> statistics, StateFile file)
    : options_(std::move(options)), statistics_(std::move(statistics)), file_(std::move(file)),
      blackholes_(options_.has_vip_blackholes) {}

std::expected<std::unique_ptr<Controller>, Error> Controller::start(ControllerOptions options,
                                                                    std::shared_ptr<metrics::Statistics> statistics) {
    auto file = StateFile::open(options.state_directory);
    if (!file) return std::unexpected(std::move(file.error()));
    std::unique_ptr<Controller> controller(new Controller(std::move(options), std::move(statistics), std::move(*file)));
    if (auto ok = controller->begin(); !ok) return std::unexpected(std::move(ok.error()));
    return controller;
}

Controller::~Controller() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    wakeup_.notify_all();
    if (thread_.joinable()) thread_.join(); // it uses health_, to its end
    health_.reset();                        // it calls back, which sets a flag
}

/// Finds the state to begin with and starts everything that runs.
std::expected<void, Error> Controller::begin() {
    const BootClock clock = BootClock::read();
    auto saved = file_.load(clock);
    if (!saved) return std::unexpected(std::move(saved.error()));
    DesiredState state;
    if (*saved) {
        state = std::move(**saved);
    } else {
        auto first = first_state(options_.config_file);
        if (!first) return std::unexpected(std::move(first.error()));
        state = std::move(*first);
        spdlog::info("no saved state in {}: beginning with {}", file_.path(), options_.config_file);
    }
    // Also for a saved state: what a newer rule would refuse or an ended quarantine frees.
    auto allocation = allocate(state.allocation, state.config, clock.now_s);
    if (!allocation) return std::unexpected(std::move(allocation.error()));
    state.allocation = std::move(*allocation);
    state.histories = histories_after(state, state);
    auto resolver = nexthop::NextHopResolver::open([this] {
        const std::lock_guard lock(mutex_);
        have_hops_changed_ = true;
        wakeup_.notify_all();
    });
    if (!resolver) return std::unexpected(std::move(resolver.error()));
    resolver_ = std::move(*resolver);
    if (auto ok = file_.save(state, clock); !ok) return ok;
    RowSet rows = row_sets_.build({}, state);
    standing_ = {std::move(state), std::move(rows)};
    follow_next_hops();
    blackholes_.set(standing_.state.config, nullptr);
    statistics_->set_directory(directory_of(standing_.state));
    describe_standing();
    if (*saved) log_file_standing();

    publish::Publisher::Options publisher_options;
    publisher_options.socket_path = options_.dataplane_socket;
    publisher_ = std::make_unique<publish::Publisher>(
        std::move(publisher_options),
        publish::Publisher::Events{.on_connect =
                                       [this](const publish::DataplaneInfo &dataplane) {
                                           spdlog::info("dataplane connected: pid {}, version {}, {} workers, generation {}",
                                                        dataplane.pid, dataplane.version, dataplane.worker_count,
                                                        dataplane.generation);
                                           const std::lock_guard lock(mutex_);
                                           has_connected_ = true;
                                           wakeup_.notify_all();
                                       },
                                   .on_disconnect =
                                       [](const Error &error) { spdlog::warn("dataplane lost: {}", error.format()); }});
    if (options_.has_health_checks) {
        auto engine = health::Engine::open(
            [this] {
                const std::lock_guard lock(mutex_);
                has_health_changed_ = true;
                wakeup_.notify_all();
            },
            tally_);
        if (!engine) return std::unexpected(std::move(engine.error()));
        health_ = std::move(*engine);
        follow_health();
    }
    thread_ = std::thread([this] { run(); });
    return {};
}

void Controller::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        const auto has_work = [this] {
            return is_stopping_ || has_connected_ || have_hops_changed_ || has_health_changed_ || !tasks_.empty();
        };
        const auto deadline = next_deadline();
        if (deadline) wakeup_.wait_until(lock, *deadline, has_work);
        else wakeup_.wait(lock, has_work);
        if (is_stopping_ && tasks_.empty()) return;
        if (has_health_changed_) wakeup_.wait_for(lock, kCoalesce, [this] { return is_stopping_; });
        const bool has_connected = std::exchange(has_connected_, false);
        const bool have_hops_changed = std::exchange(have_hops_changed_, false);
        const bool has_health_changed = std::exchange(has_health_changed_, false);
        const std::deque<std::function<void()>> tasks = std::exchange(tasks_, {});
        lock.unlock();
        const auto now = std::chrono::steady_clock::now(); // what is due is done, whatever else there was to do
        if (has_health_changed) take_found_health();
        if (has_connected) republish("dataplane connected");
        else if (!refusal_.empty() && now >= retry_at_) republish("again, after a refusal");
        else if (have_hops_changed) take_changed_hops();
        if (deadline && now >= *deadline) free_departed();
        for (const std::function<void()> &task : tasks) task();
        lock.lock();
    }
}

/// When there is something to do that no event tells of.
std::optional<std::chrono::steady_clock::time_point> Controller::next_deadline() const {
    const auto now = std::chrono::steady_clock::now();
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (const auto end_s = first_departure_end_s(standing_.state.allocation)) {
        const std::uint64_t now_s = BootClock::read().now_s;
        deadline = now + std::chrono::seconds(*end_s > now_s ? *end_s - now_s : 0);
    }
    // What the dataplane refused without a change of ours to take back (it may have lacked memory) is tried again.
    if (!refusal_.empty()) deadline = std::min(deadline.value_or(retry_at_), retry_at_);
    return deadline;
}

void Controller::take_refusal(const std::expected<void, publish::PublishFailure> &published) {
    refusal_ = reason_to_retry(published);
    retry_at_ = std::chrono::steady_clock::now() + kRetry;
}

void Controller::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return;
        tasks_.push_back(std::move(task));
    }
    wakeup_.notify_all();
}

std::expected<ChangeOutcome, ChangeRefusal> Controller::change(Mutation mutation, ChangeOptions options) {
    std::promise<Done> promise;
    auto done = promise.get_future();
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return refused(ChangeRefusal::Kind::kSystem, error_of("fairleadd is ending"));
        tasks_.emplace_back([&] { promise.set_value(make_change(mutation, options)); });
    }
    wakeup_.notify_all();
    return done.get();
}

std::expected<ChangeOutcome, ChangeRefusal> Controller::apply(std::string_view text, const std::string &file_name,
                                                              bool is_dry_run, bool is_forced) {
    auto parsed = config::parse(text, file_name);
    if (!parsed) return refused(ChangeRefusal::Kind::kRequest, std::move(parsed.error()));
    return change([&](const config::Config &) -> Changed { return std::move(*parsed); },
                  {.is_dry_run = is_dry_run, .is_forced = is_forced, .config_digest = digest_of(text)});
}

std::expected<std::string, Error> Controller::export_state() {
    std::promise<std::string> promise;
    auto text = promise.get_future();
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return std::unexpected(error_of("fairleadd is ending"));
        tasks_.emplace_back([&] { promise.set_value(format_state(standing_.state, BootClock::read())); });
    }
    wakeup_.notify_all();
    return text.get();
}

std::expected<ChangeOutcome, ChangeRefusal> Controller::import_state(std::string_view text, const std::string &file_name,
                                                                     bool is_forced) {
    auto imported = parse_state(text, file_name, BootClock::read());
    if (!imported) {
        imported.error().mend = "export it again from the balancer that has it; nothing is changed here";
        return refused(ChangeRefusal::Kind::kRequest, std::move(imported.error()));
    }
    const auto mutation = [&](const config::Config &own) -> Changed {
        config::Config config = imported->config;
        config.balancer.source_address = own.balancer.source_address;
        config.balancer.next_hop_mac = own.balancer.next_hop_mac;
        if (auto ok = config::validate(config); !ok) return std::unexpected(std::move(ok.error()));
        return config;
    };
    return change(mutation, {.is_forced = is_forced, .imported = &*imported});
}

/// The whole way of one change; see the file comment of controller.hpp.
Controller::Done Controller::make_change(const Mutation &mutation, const ChangeOptions &options) {
    auto config = mutation(standing_.state.config);
    if (!config) return refused(ChangeRefusal::Kind::kRequest, std::move(config.error()));
    const BootClock clock = BootClock::read();
    const DesiredState &base = options.imported != nullptr ? *options.imported : standing_.state;
    auto allocation = allocate(base.allocation, *config, clock.now_s);
    if (!allocation) return refused(ChangeRefusal::Kind::kRequest, std::move(allocation.error()));

    ChangeOutcome outcome;
    if (const auto removed = removed_backends(standing_.state.config, *config); !removed.empty() && !options.is_forced) {
        auto warnings = check_removal(removed, statistics_->sample());
        if (!warnings) return refused(ChangeRefusal::Kind::kRequest, std::move(warnings.error()));
        outcome.warnings = std::move(*warnings);
    }
    DesiredState state{.config = std::move(*config),
                       .allocation = std::move(*allocation),
                       .histories = {},
                       .seed = base.seed,
                       .generation = standing_.state.generation,
                       .health = {},
                       .config_digest = options.config_digest.empty() ? standing_.state.config_digest : options.config_digest};
    state.health = keep_checked(base.health, state.config);
    state.seed = state.config.balancer.seed.value_or(state.seed);
    if (state.seed != standing_.state.seed)
        outcome.warnings.emplace_back("the seed changed: open connections are looked up anew, and some of them break");
    state.histories = histories_after(base, state);
    if (options.is_dry_run) {
        outcome.generation = state.generation;
        return outcome;
    }
    std::string not_adopted = kNotConnected;
    const bool is_new = options.imported != nullptr || state.config != standing_.state.config || state.seed != standing_.state.seed ||
                        departed_of(state.allocation) != departed_of(standing_.state.allocation);
    if (is_new) state.generation = next_generation();

    RowSet rows = row_sets_.build(standing_.rows, state);
    if (auto ok = file_.save(state, clock); !ok) return refused(ChangeRefusal::Kind::kSystem, std::move(ok.error()));
    Standing before = std::exchange(standing_, Standing{std::move(state), std::move(rows)});

    if (is_new) {
        follow_health();
        blackholes_.set(standing_.state.config, &before.state.config);
        follow_next_hops();
        const auto published = publish_standing();
        if (!published && published.error().kind == Kind::kRefused) {
            take_back(std::move(before));
            return refused(ChangeRefusal::Kind::kDataplane, published.error().error);
        }
        take_refusal(published);
        if (!published && published.error().kind != Kind::kDisconnected) not_adopted = "saved; " + published.error().error.format();
        spdlog::info("generation {}: {}", standing_.state.generation, published ? "adopted" : not_adopted);
    }
    blackholes_.set(standing_.state.config, nullptr);
    describe_standing();
    const publish::PublisherStatus dataplane = publisher_->status();
    outcome.generation = standing_.state.generation;
    outcome.is_adopted = dataplane.connected && dataplane.generation == standing_.state.generation;
    if (!outcome.is_adopted) outcome.warnings.push_back(std::move(not_adopted));
    for (const std::string &warning : blackholes_.warnings()) outcome.warnings.push_back(warning);
    for (std::string &warning : next_hop_warnings()) outcome.warnings.push_back(std::move(warning));
    if (const std::string trouble = next_hop_trouble(); !trouble.empty()) outcome.warnings.push_back("next hops: " + trouble);
    return outcome;
}

void Controller::take_back(Standing before) {
    // The refused number is spent: the dataplane may have seen it.
    before.state.generation = standing_.state.generation;
    standing_ = std::move(before);
    if (auto ok = file_.save(standing_.state, BootClock::read()); !ok)
        spdlog::error("the state before could not be saved again; a restart would try the refused change: {}",
                      ok.error().format());
    statistics_->set_directory(directory_of(standing_.state));
    blackholes_.set(standing_.state.config, nullptr);
    follow_next_hops();
    follow_health();
    describe_standing();
}

/// The standing state as a new generation, when the dataplane or the way to the backends is new.
void Controller::republish(std::string_view why) {
    standing_.state.generation = next_generation();
    if (auto ok = file_.save(standing_.state, BootClock::read()); !ok)
        spdlog::error("generation {} is published unsaved: {}", standing_.state.generation, ok.error().format());
    const auto published = publish_standing();
    take_refusal(published);
    if (published) spdlog::info("generation {}: adopted ({})", standing_.state.generation, why);
    else spdlog::warn("generation {}: {} ({})", standing_.state.generation, published.error().error.format(), why);
    describe_standing();
}

void Controller::take_changed_hops() {
    if (!blackholes_.are_whole()) blackholes_.set(standing_.state.config, nullptr); // what was in the way may have gone with a route or an address
    if (publisher_->status().connected && hops_of(forwarding_now()) != hops_published_) republish("next hops changed");
    else describe_standing();
}

/// What the engine found since it was last asked: a new generation where rows or slots are not as they were.
void Controller::take_found_health() {
    DesiredState &state = standing_.state;
    HealthRecord record = with_found(state.health, state.config, state.allocation, health_->found());
    if (record == state.health) return;
    for (const HealthChange &change : describe_changes(state.health, record, state.config))
        spdlog::log(change.to == health::Grade::kUp ? spdlog::level::info : spdlog::level::warn, "{}", change.text);
    bool is_visible = false;
    for (const config::Service &service : state.config.services) {
        const ServiceHealth before = judge(service, state.health), after = judge(service, record);
        is_visible |= before.grades != after.grades;
        if (after.is_kept && !before.is_kept) spdlog::error("{}", describe_kept(service, after));
        if (before.is_kept && !after.is_kept) spdlog::info("{}: half of the backends or more are up: grades count again", service.name);
    }
    state.health = std::move(record);
    if (is_visible) {
        state.histories = histories_after(state, state);
        standing_.rows = row_sets_.build(standing_.rows, state);
        return republish("health");
    }
    if (auto ok = file_.save(state, BootClock::read()); !ok) spdlog::error("{}", ok.error().format());
    describe_standing();
}

/// Frees the slots of removed backends that no connection can name any more.
void Controller::free_departed() {
    DesiredState &state = standing_.state;
    auto allocation = allocate(state.allocation, state.config, BootClock::read().now_s);
    if (!allocation || departed_of(*allocation) == departed_of(state.allocation)) return;
    state.allocation = std::move(*allocation);
    follow_next_hops();
    republish("the slot of a removed backend is free");
}

publish::ForwardingState Controller::forwarding_now() const {
    return forwarding_state(standing_.state, standing_.rows, 0,
                            [this](wire::Be32 address) { return resolver_->find(address); });
}

std::uint64_t Controller::next_generation() const {
    return std::max(standing_.state.generation, publisher_->status().generation) + 1;
}

void Controller::follow_next_hops() {
    const DesiredState &state = standing_.state;
    std::vector<wire::Be32> addresses;
    if (!state.config.balancer.next_hop_mac) {
        addresses = backends_of(state.config);
        for (const auto &[slot, departed] : departed_of(state.allocation)) addresses.push_back(wire::Be32::from_host(departed.address));
    }
    resolver_->set_targets(std::move(addresses));
}

void Controller::follow_health() {
    const DesiredState &state = standing_.state;
    if (health_) health_->set_targets(targets_of(state.config, state.allocation, state.health));
}

/// Publishes what stands. A dataplane that turns out to be ahead gets a higher number.
std::expected<void, publish::PublishFailure> Controller::publish_standing() {
    constexpr int kAttempts = 3;
    // What is not resolved in time is published as unresolved, and again as soon as it is.
    (void)resolver_->settle(options_.settle);
    for (int attempt = 1;; ++attempt) {
        if (!publisher_->status().connected)
            return std::unexpected(publish::PublishFailure{Kind::kDisconnected, error_of("dataplane not connected")});
        publish::ForwardingState forwarding = forwarding_now();
        std::vector<Hop> hops = hops_of(forwarding);
        auto snapshot = snapshot_factory_.build(std::move(forwarding), standing_.rows, row_sets_);
        if (!snapshot)
            return std::unexpected(publish::PublishFailure{Kind::kRefused, std::move(snapshot.error())});
        statistics_->set_directory(directory_of(standing_.state));
        auto adoption = publisher_->publish(*snapshot);
        if (adoption) {
            hops_published_ = std::move(hops);
            spdlog::debug("generation {}: {} segments, {} bytes, {} us", adoption->generation, adoption->segments_sent,
                          adoption->bytes_sent, std::chrono::duration_cast<std::chrono::microseconds>(adoption->elapsed).count());
            return {};
        }
        if (adoption.error().kind != Kind::kStale || attempt == kAttempts) return std::unexpected(std::move(adoption.error()));
        standing_.state.generation = next_generation();
        if (auto ok = file_.save(standing_.state, BootClock::read()); !ok)
            spdlog::error("generation {} is published unsaved: {}", standing_.state.generation, ok.error().format());
    }
}

} // namespace fairlead::state
