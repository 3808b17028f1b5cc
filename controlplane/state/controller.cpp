// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/controller.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "controlplane/nexthop/vip_routes.hpp"
#include "controlplane/state/directory.hpp"
#include "controlplane/state/first_state.hpp"

namespace fairlead::state {

namespace {

using Kind = publish::PublishFailure::Kind;

constexpr std::chrono::seconds kRetry{10};
constexpr const char *kNotConnected = "saved; dataplane not connected";

std::vector<wire::Be32> vips_of(const config::Config &config, const config::Config *also) {
    std::set<std::uint32_t> vips;
    for (const config::Service &service : config.services) vips.insert(service.vip.host());
    if (also != nullptr)
        for (const config::Service &service : also->services) vips.insert(service.vip.host());
    std::vector<wire::Be32> list;
    for (const std::uint32_t vip : vips) list.push_back(wire::Be32::from_host(vip));
    return list;
}

std::vector<wire::Be32> backends_of(const config::Config &config) {
    std::set<std::uint32_t> addresses;
    for (const config::Service &service : config.services)
        for (const config::Backend &backend : service.backends) addresses.insert(backend.address.host());
    std::vector<wire::Be32> list;
    for (const std::uint32_t address : addresses) list.push_back(wire::Be32::from_host(address));
    return list;
}

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
    : options_(std::move(options)), statistics_(std::move(statistics)), file_(std::move(file)) {}

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
    if (thread_.joinable()) thread_.join();
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
    set_blackholes(nullptr);
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
    thread_ = std::thread([this] { run(); });
    return {};
}

void Controller::log_file_standing() const {
    const std::string &file = options_.config_file;
    switch (file_standing()) {
    case FileStanding::kNone: spdlog::info("running from saved state"); break;
    case FileStanding::kSame: spdlog::info("running from saved state; {} says the same", file); break;
    case FileStanding::kUnchanged:
        spdlog::info("running from saved state, which was changed through the API since {} was applied", file);
        break;
    case FileStanding::kDiffers:
        spdlog::warn("running from saved state; {} differs: apply it with fairlead apply -f {}", file, file);
        break;
    case FileStanding::kUnreadable:
        spdlog::warn("running from saved state; {} cannot be used: see fairlead check -f {}", file, file);
        break;
    }
}

void Controller::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        const auto has_work = [this] { return is_stopping_ || has_connected_ || have_hops_changed_ || !tasks_.empty(); };
        // What the dataplane refused without a change of ours to take back (it may have lacked memory) is tried again.
        const bool is_retry = !refusal_.empty() && !wakeup_.wait_for(lock, kRetry, has_work);
        if (!is_retry) wakeup_.wait(lock, has_work);
        if (is_stopping_ && tasks_.empty()) return;
        const bool has_connected = std::exchange(has_connected_, false);
        const bool have_hops_changed = std::exchange(have_hops_changed_, false);
        const std::deque<std::function<void()>> tasks = std::exchange(tasks_, {});
        lock.unlock();
        if (has_connected) republish("dataplane connected");
        else if (is_retry) republish("again, after a refusal");
        else if (have_hops_changed) take_changed_hops();
        for (const std::function<void()> &task : tasks) task();
        lock.lock();
    }
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
                                                              bool is_dry_run) {
    auto parsed = config::parse(text, file_name);
    if (!parsed) return refused(ChangeRefusal::Kind::kRequest, std::move(parsed.error()));
    return change([&](const config::Config &) -> Changed { return std::move(*parsed); },
                  {.is_dry_run = is_dry_run, .config_digest = digest_of(text)});
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

std::expected<ChangeOutcome, ChangeRefusal> Controller::import_state(std::string_view text, const std::string &file_name) {
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
    return change(mutation, {.imported = &*imported});
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
    DesiredState state{.config = std::move(*config),
                       .allocation = std::move(*allocation),
                       .histories = {},
                       .seed = base.seed,
                       .generation = standing_.state.generation,
                       .config_digest = options.config_digest.empty() ? standing_.state.config_digest : options.config_digest};
    state.seed = state.config.balancer.seed.value_or(state.seed);
    if (state.seed != standing_.state.seed)
        outcome.warnings.emplace_back("the seed changed: open connections are looked up anew, and some of them break");
    state.histories = histories_after(base, state);
    if (options.is_dry_run) {
        outcome.generation = state.generation;
        return outcome;
    }
    std::string not_adopted = kNotConnected;
    const bool is_new = state.config != standing_.state.config || state.seed != standing_.state.seed || options.imported != nullptr;
    if (is_new) state.generation = next_generation();

    RowSet rows = row_sets_.build(standing_.rows, state);
    if (auto ok = file_.save(state, clock); !ok) return refused(ChangeRefusal::Kind::kSystem, std::move(ok.error()));
    Standing before = std::exchange(standing_, Standing{std::move(state), std::move(rows)});

    if (is_new) {
        set_blackholes(&before.state.config);
        follow_next_hops();
        const auto published = publish_standing();
        if (!published && published.error().kind == Kind::kRefused) {
            take_back(std::move(before));
            return refused(ChangeRefusal::Kind::kDataplane, published.error().error);
        }
        refusal_ = reason_to_retry(published);
        if (!published && published.error().kind != Kind::kDisconnected) not_adopted = "saved; " + published.error().error.format();
        spdlog::info("generation {}: {}", standing_.state.generation, published ? "adopted" : not_adopted);
    }
    set_blackholes(nullptr);
    describe_standing();
    const publish::PublisherStatus dataplane = publisher_->status();
    outcome.generation = standing_.state.generation;
    outcome.is_adopted = dataplane.connected && dataplane.generation == standing_.state.generation;
    if (!outcome.is_adopted) outcome.warnings.push_back(std::move(not_adopted));
    for (const std::string &warning : blackhole_warnings_) outcome.warnings.push_back(warning);
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
    set_blackholes(nullptr);
    follow_next_hops();
    describe_standing();
}

/// The standing state as a new generation, when the dataplane or the way to the backends is new.
void Controller::republish(std::string_view why) {
    standing_.state.generation = next_generation();
    if (auto ok = file_.save(standing_.state, BootClock::read()); !ok)
        spdlog::error("generation {} is published unsaved: {}", standing_.state.generation, ok.error().format());
    const auto published = publish_standing();
    refusal_ = reason_to_retry(published);
    if (published) spdlog::info("generation {}: adopted ({})", standing_.state.generation, why);
    else spdlog::warn("generation {}: {} ({})", standing_.state.generation, published.error().error.format(), why);
    describe_standing();
}

void Controller::take_changed_hops() {
    if (!vips_blackholed_) set_blackholes(nullptr); // what was in the way may have gone with a route or an address
    if (publisher_->status().connected && hops_of(forwarding_now()) != hops_published_) republish("next hops changed");
    else describe_standing();
}

publish::ForwardingState Controller::forwarding_now() const {
    return forwarding_state(standing_.state, standing_.rows, 0,
                            [this](wire::Be32 address) { return resolver_->find(address); });
}

std::uint64_t Controller::next_generation() const {
    return std::max(standing_.state.generation, publisher_->status().generation) + 1;
}

void Controller::follow_next_hops() {
    const config::Config &config = standing_.state.config;
    resolver_->set_targets(config.balancer.next_hop_mac ? std::vector<wire::Be32>{} : backends_of(config));
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

/// Blackholes the VIPs of what stands, and those of `also` while both generations may be running.
void Controller::set_blackholes(const config::Config *also) {
    if (!options_.has_vip_blackholes) return;
    std::vector<wire::Be32> vips = vips_of(standing_.state.config, also);
    if (vips == vips_blackholed_) return;
    const auto change = nexthop::set_vip_blackholes(vips);
    std::vector<std::string> warnings;
    if (!change) warnings.push_back("VIPs are not blackholed in this host's kernel: " + change.error().format());
    else
        for (const Error &conflict : change->conflicts) warnings.push_back(conflict.format());
    // Only what is whole is remembered: with a conflict the next change tries again.
    vips_blackholed_ = warnings.empty() ? std::optional(std::move(vips)) : std::nullopt;
    if (warnings == blackhole_warnings_) return;
    blackhole_warnings_ = std::move(warnings);
    for (const std::string &warning : blackhole_warnings_) spdlog::warn("{}", warning);
}

/// A sentence for each backend that traffic cannot be sent to; of very many, the first.
std::vector<std::string> Controller::next_hop_warnings() const {
    constexpr std::size_t kNamedMax = 8;
    std::vector<std::string> warnings;
    const config::Config &config = standing_.state.config;
    if (config.balancer.next_hop_mac) return warnings;
    std::size_t unresolved = 0;
    for (const wire::Be32 address : backends_of(config)) {
        const nexthop::NextHop hop = resolver_->find(address);
        if (!hop.resolved && ++unresolved <= kNamedMax)
            warnings.push_back(fmt::format("backend {} has no next hop: {}", config::format_ipv4(address), nexthop::describe(hop.state)));
    }
    if (unresolved > kNamedMax)
        warnings.push_back(fmt::format("{} more backends have no next hop: see fairlead backend list", unresolved - kNamedMax));
    return warnings;
}

/// Leaves a new View for the readers.
void Controller::describe_standing() {
    auto view = std::make_shared<View>();
    const DesiredState &state = standing_.state;
    view->config = state.config;
    view->generation = state.generation;
    view->config_digest = state.config_digest;
    view->warnings = blackhole_warnings_;
    for (std::string &warning : next_hop_warnings()) view->warnings.push_back(std::move(warning));
    if (!refusal_.empty()) view->warnings.push_back("the dataplane refused the last generation: " + refusal_);
    for (const config::Service &service : state.config.services) {
        const ServiceRows &rows = *standing_.rows.at(key_of(service));
        View::ServiceView &entry = view->services.emplace_back();
        entry.name = service.name;
        entry.rows_digest = rows.digest;
        entry.row_count = static_cast<std::uint32_t>(rows.rows.size());
        const tables::SetHistory &history = state.histories.at(key_of(service));
        entry.history_digest = history.digest();
        entry.history_sets = static_cast<std::uint32_t>(history.sets().size());
        entry.backends = static_cast<std::uint32_t>(service.backends.size());
        for (const config::Backend &backend : service.backends) {
            entry.backends_taking += !backend.drain && backend.weight > 0;
            if (!state.config.balancer.next_hop_mac && !resolver_->find(backend.address).resolved)
                entry.backends_unresolved.push_back(backend.address);
        }
    }
    const std::lock_guard lock(mutex_);
    view_ = std::move(view);
}

std::shared_ptr<const View> Controller::view() const {
    const std::lock_guard lock(mutex_);
    return view_;
}

FileStanding Controller::file_standing() const {
    if (options_.config_file.empty()) return FileStanding::kNone;
    const auto text = config::read_config_text(options_.config_file);
    if (!text) return FileStanding::kUnreadable;
    const auto current = view();
    const bool is_unchanged = digest_of(*text) == current->config_digest;
    const auto parsed = config::parse(*text, options_.config_file);
    if (!parsed) return FileStanding::kUnreadable;
    if (*parsed == current->config) return FileStanding::kSame;
    return is_unchanged ? FileStanding::kUnchanged : FileStanding::kDiffers;
}

} // namespace fairlead::state
