// SPDX-License-Identifier: Apache-2.0
#include "controlplane/health/engine.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "controlplane/health/probe.hpp"

namespace fairlead::health {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kWaitMax{60'000};
constexpr std::chrono::seconds kTroubleGap{30}; ///< between two log lines about probes that could not be made

struct FreeEasy {
    void operator()(CURL *easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;

std::uint64_t unix_now_s() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

} // namespace

class Engine::Loop {
  public:
    Loop(CURLM *multi, OnFound on_found, std::shared_ptr<Tally> tally)
        : multi_(multi), on_found_(std::move(on_found)), tally_(std::move(tally)), random_(std::random_device()()),
          thread_([this] { run(); }) {}

    ~Loop() {
        {
            const std::lock_guard lock(mutex_);
            is_stopping_ = true;
        }
        curl_multi_wakeup(multi_);
        thread_.join();
        for (const auto &[easy, probe] : under_way_) curl_multi_remove_handle(multi_, easy);
        under_way_.clear();
        idle_.clear();
        curl_multi_cleanup(multi_);
    }

    void set_targets(std::vector<Target> targets) {
        {
            const std::lock_guard lock(mutex_);
            new_targets_ = std::move(targets);
        }
        curl_multi_wakeup(multi_);
    }

    std::vector<Found> found() const {
        const std::lock_guard lock(mutex_);
        std::vector<Found> list;
        list.reserve(found_.size());
        for (const auto &[key, found] : found_) list.push_back(found);
        return list;
    }

  private:
    /// A target and what is known of it.
    struct Subject {
        Target target;
        Hysteresis hysteresis;
        Clock::time_point due;
    };
    using Subjects = std::map<BackendKey, Subject>;

    struct Probe {
        Easy easy;
        Target target;
    };

    void run() {
        while (take_orders()) {
            begin_due(Clock::now());
            int running = 0;
            curl_multi_perform(multi_, &running);
            end_done();
            curl_multi_poll(multi_, nullptr, 0, wait_ms(Clock::now()), nullptr);
        }
    }

    /// False: it is time to end.
    bool take_orders() {
        std::optional<std::vector<Target>> targets;
        {
            const std::lock_guard lock(mutex_);
            if (is_stopping_) return false;
            targets = std::exchange(new_targets_, std::nullopt);
        }
        if (targets) replace_subjects(std::move(*targets));
        return true;
    }

    void replace_subjects(std::vector<Target> targets) {
        Subjects before = std::exchange(subjects_, {});
        due_.clear();
        std::set<BackendKey> keys;
        const Clock::time_point now = Clock::now();
        for (Target &target : targets) {
            const BackendKey key = target.key;
            keys.insert(key);
            auto known = before.find(key);
            if (known != before.end() && known->second.target.is_as(target)) {
                subjects_.insert(before.extract(known));
            } else {
                const std::chrono::milliseconds interval(target.check.interval_ms);
                std::uniform_int_distribution<Clock::rep> anywhere(0, Clock::duration(interval).count() - 1);
                Hysteresis hysteresis(target.grade, target.check.rise, target.check.fall);
                subjects_.insert_or_assign(
                    key, Subject{std::move(target), hysteresis, now + Clock::duration(anywhere(random_))});
            }
        }
        tally_->keep(keys);
        forget_found();
        std::set<BackendKey> busy;
        for (const auto &[easy, probe] : under_way_)
            if (find(probe.target) != nullptr) busy.insert(probe.target.key);
        for (const auto &[key, subject] : subjects_)
            if (!busy.contains(key)) due_.emplace(subject.due, key);
    }

    void forget_found() {
        const std::lock_guard lock(mutex_);
        std::erase_if(found_, [this](const auto &entry) { return find(entry.second.target) == nullptr; });
    }

    /// The subject that `target` is or was; null: it is gone or another by now.
    Subject *find(const Target &target) {
        const auto subject = subjects_.find(target.key);
        return subject != subjects_.end() && subject->second.target.is_as(target) ? &subject->second : nullptr;
    }

    void begin_due(Clock::time_point now) {
        while (!due_.empty() && due_.begin()->first <= now && under_way_.size() < kProbesUnderWayMax) {
            Subject &subject = subjects_.at(due_.begin()->second);
            due_.erase(due_.begin());
            begin(subject);
        }
    }

    void begin(Subject &subject) {
        Probe probe{take_easy(), subject.target};
        CURL *easy = probe.easy.get();
        if (easy != nullptr) set_up_probe(easy, probe.target);
        if (easy != nullptr && curl_multi_add_handle(multi_, easy) == CURLM_OK) under_way_.emplace(easy, std::move(probe));
        else conclude(probe, {Verdict::kNone, "the probe could not be made: no memory"});
    }

    Easy take_easy() {
        if (idle_.empty()) return Easy(curl_easy_init());
        Easy easy = std::move(idle_.back());
        idle_.pop_back();
        return easy;
    }

    void end_done() {
        int left = 0;
        while (const CURLMsg *message = curl_multi_info_read(multi_, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            CURL *easy = message->easy_handle;
            const CURLcode code = message->data.result;
            Probe probe = std::move(under_way_.extract(easy).mapped());
            const Finding finding = judge_probe(easy, code, probe.target);
            curl_multi_remove_handle(multi_, easy); // closes the connection
            conclude(probe, finding);
            idle_.push_back(std::move(probe.easy));
        }
    }

    void conclude(const Probe &probe, const Finding &finding) {
        Subject *subject = find(probe.target);
        if (subject == nullptr) return;
        const Clock::time_point now = Clock::now();
        const std::chrono::milliseconds interval(subject->target.check.interval_ms);
        subject->due = std::max(subject->due + interval, now);
        due_.emplace(subject->due, subject->target.key);
        tally_->add(subject->target.key, finding.verdict);
        if (finding.verdict == Verdict::kNone) complain(*subject, finding.reason, now);
        const Grade from = subject->hysteresis.grade();
        const auto to = subject->hysteresis.observe(finding.verdict);
        if (!to) return;
        tally_->add(subject->target.key, *to);
        const std::uint32_t run = subject->hysteresis.run_of(from, *to);
        const std::string what = finding.reason.empty() ? "answers as it should" : finding.reason;
        subject->target.grade = *to;
        {
            const std::lock_guard lock(mutex_);
            found_.insert_or_assign(subject->target.key,
                                    Found{subject->target, fmt::format("{}, {} of {}", what, run, run), unix_now_s()});
        }
        on_found_();
    }

    /// This host's trouble, not the backend's: said now and then, and counted always.
    void complain(const Subject &subject, const std::string &reason, Clock::time_point now) {
        if (now < complain_next_) return;
        complain_next_ = now + kTroubleGap;
        spdlog::warn("health check of {}: {}", config::format_ipv4(wire::Be32::from_host(subject.target.key.address)), reason);
    }

    int wait_ms(Clock::time_point now) const {
        if (due_.empty() || under_way_.size() >= kProbesUnderWayMax) return static_cast<int>(kWaitMax.count());
        // Up, so that a wait does not end just before its time and is then repeated with 0.
        const auto wait = std::chrono::ceil<std::chrono::milliseconds>(due_.begin()->first - now);
        return static_cast<int>(std::clamp(wait, std::chrono::milliseconds(0), kWaitMax).count());
    }

    // The thread's own, but for the destructor.
    CURLM *multi_;
    OnFound on_found_;
    std::shared_ptr<Tally> tally_;
    std::mt19937_64 random_;
    Subjects subjects_;
    std::set<std::pair<Clock::time_point, BackendKey>> due_; ///< of the subjects without a probe under way
    std::map<CURL *, Probe> under_way_;
    std::vector<Easy> idle_;
    Clock::time_point complain_next_;

    mutable std::mutex mutex_; ///< guards what follows
    std::map<BackendKey, Found> found_; ///< of subjects_
    std::optional<std::vector<Target>> new_targets_;
    bool is_stopping_ = false;

    std::thread thread_; ///< last: it uses all of the above
};

Engine::Engine(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Engine::~Engine() = default;

std::expected<std::unique_ptr<Engine>, Error> Engine::open(OnFound on_found, std::shared_ptr<Tally> tally) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = ready == CURLE_OK ? curl_multi_init() : nullptr;
    if (multi == nullptr)
        return std::unexpected(error_of("health checks: libcurl cannot be set up", "look at the memory and descriptors left"));
    return std::unique_ptr<Engine>(new Engine(std::make_unique<Loop>(multi, std::move(on_found), std::move(tally))));
}

std::vector<Found> Engine::found() const { return loop_->found(); }
void Engine::set_targets(std::vector<Target> targets) { loop_->set_targets(std::move(targets)); }

} // namespace fairlead::health
