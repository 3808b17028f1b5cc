// SPDX-License-Identifier: Apache-2.0
//
// How many flows break when all connection state is lost, by the alternates a row has and the sets
// of backends that are remembered. With the project's own tables and row history.
//
// A flow is a row and a phase: in each phase (the time between two changes of the set) one flow is
// opened on each of the 65,537 rows, with the row's owner. After the last change all state is lost
// and each flow sends its next packet: it is broken if its backend lives but is neither the owner
// of its row nor one of the alternates that are looked at. Flows of backends that are gone are not
// counted: nothing could save them. Backends have equal weight and random seeds; all flows live
// until the loss.
//
//   churn    100 backends, 8 changes: by turns one is added that never was there before, and one at
//            random is removed. Flows of the 8 phases before the last change.
//   pause    100 backends, 8 changes: four at random go away one after the other and return, the
//            first gone first. Flows of the 8 phases before the last change.
//   absence  30 backends: ten at random go away one after the other and return likewise. Flows of
//            the phase in which all ten are away, by the number of sets that are remembered.
//
// Each once with the tables as they are and once without their limit of 1 % over a fair share,
// which is plain rendezvous hashing: there a change moves only the rows that it must. What the
// limit costs here is the price of even load.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "controlplane/tables/rendezvous.hpp"
#include "controlplane/tables/row_history.hpp"
#include "dataplane/wire/snapshot.h"

namespace {

using namespace fairlead;
using namespace fairlead::tables;

constexpr std::uint32_t kRows = 65537;
constexpr std::uint32_t kUnlimited = 1000; ///< slack, per mille: nobody is ever turned away

struct Phase {
    std::vector<Member> members;
    Rows rows;
};

/// One service's life, phase after phase.
class Life {
  public:
    Life(std::uint16_t backends, std::uint64_t number, std::uint32_t slack_per_mille)
        : random_(number), table_(kRows, seed_from(random_), slack_per_mille) {
        for (next_ = 0; next_ < backends; ++next_) members_.push_back(member(next_));
        begin_phase();
    }

    void add_new() {
        members_.push_back(member(next_++));
        begin_phase();
    }
    void remove_any() {
        const auto gone = members_.begin() + static_cast<std::ptrdiff_t>(random_() % members_.size());
        away_.push_back(*gone);
        members_.erase(gone);
        begin_phase();
    }
    void bring_back() {
        members_.push_back(away_.front());
        away_.erase(away_.begin());
        begin_phase();
    }
    [[nodiscard]] const std::vector<Phase> &phases() const { return phases_; }

  private:
    static Member member(std::uint16_t number) {
        return {.address = address_of(wire::Be32::from_host(0x0a140001u + number)), .weight = 100, .slot = number};
    }
    static Seed seed_from(std::mt19937_64 &random) {
        Seed seed;
        for (std::uint8_t &byte : seed) byte = static_cast<std::uint8_t>(random());
        return seed;
    }
    void begin_phase() { phases_.push_back({members_, table_.build(members_)}); }

    std::mt19937_64 random_;
    RendezvousTable table_;
    std::vector<Member> members_;
    std::vector<Member> away_;
    std::uint16_t next_ = 0;
    std::vector<Phase> phases_;
};

/// The alternates after the last phase when only so many sets are remembered.
Alternates alternates_after(const std::vector<Phase> &phases, std::size_t set_count) {
    SetHistory all;
    std::map<std::uint64_t, const Phase *> phase_of; // by the digest of its set
    for (const Phase &phase : phases) {
        BackendSet set = backend_set(Algorithm::kRendezvous, kRows, phase.members);
        phase_of[set.digest] = &phase;
        all = all.with(std::move(set));
    }
    SetHistory list;
    std::optional<RowHistory> history;
    for (std::size_t i = std::min(set_count, all.sets().size()); i-- > 0;) {
        const Phase &phase = *phase_of.at(all.sets()[i]->digest);
        list = list.with(*all.sets()[i]);
        history = history ? history->after(list, phase.rows, phase.members) : RowHistory(list, phase.rows, phase.members);
    }
    return history->alternates(phases.back().rows, phases.back().members);
}

/// Flows, and of them those broken when 0, 1, 2 or 3 alternates are looked at.
struct Tally {
    std::uint64_t flows = 0;
    std::array<std::uint64_t, wire::kAlternateCount + 1> broken{};

    void count(const Phase &opened, const Phase &now, const Alternates &alternates) {
        std::vector<bool> lives(std::size_t{wire::kNoSlot} + 1, false);
        for (const Member &member : now.members) lives[member.slot] = true;
        for (std::size_t row = 0; row < kRows; ++row) {
            const std::uint16_t backend = opened.rows[row];
            if (!lives[backend]) continue;
            ++flows;
            if (backend == now.rows[row]) continue;
            const auto named = std::span(alternates).subspan(row * wire::kAlternateCount, wire::kAlternateCount);
            const auto place = static_cast<std::size_t>(std::ranges::find(named, backend) - named.begin());
            for (std::size_t looked_at = 0; looked_at <= place; ++looked_at) ++broken[looked_at];
        }
    }
    [[nodiscard]] double percent(std::size_t looked_at) const {
        return 100 * static_cast<double>(broken[looked_at]) / static_cast<double>(flows);
    }
};

void churn(Life &life) {
    for (int change = 0; change < 8; ++change) change % 2 == 0 ? life.add_new() : life.remove_any();
}

void leave_and_return(Life &life, int count) {
    for (int i = 0; i < count; ++i) life.remove_any();
    for (int i = 0; i < count; ++i) life.bring_back();
}

struct Scenario {
    const char *name;
    std::uint16_t backends;
    std::function<void(Life &)> happen;
    std::size_t first_phase, last_phase; ///< whose flows count
    std::size_t set_count;
};

Tally simulate(const Scenario &scenario, std::uint32_t slack_per_mille, std::uint64_t seeds) {
    Tally tally;
    for (std::uint64_t number = 0; number < seeds; ++number) {
        Life life(scenario.backends, number, slack_per_mille);
        scenario.happen(life);
        const std::vector<Phase> &phases = life.phases();
        const Alternates alternates = alternates_after(phases, scenario.set_count);
        for (std::size_t phase = scenario.first_phase; phase <= scenario.last_phase; ++phase)
            tally.count(phases[phase], phases.back(), alternates);
    }
    return tally;
}

/// What must come out, in percent, for the tables as they are: DESIGN.md's order of magnitude.
struct Bounds {
    std::array<double, wire::kAlternateCount + 1> low, high;
};

bool report(const Scenario &scenario, const Bounds &bounds, std::uint64_t seeds) {
    bool is_right = true;
    for (const std::uint32_t slack : {kSlackPerMille, kUnlimited}) {
        const Tally tally = simulate(scenario, slack, seeds);
        fmt::print("{:<8} {:>4} {:<10} {:>12}", scenario.name, scenario.set_count, slack == kUnlimited ? "plain" : "balanced", tally.flows);
        for (std::size_t i = 0; i < bounds.low.size(); ++i) {
            const bool is_off = slack == kSlackPerMille && (tally.percent(i) < bounds.low[i] || tally.percent(i) > bounds.high[i]);
            is_right = is_right && !is_off;
            fmt::print(" {:>9.5f}{}", tally.percent(i), is_off ? "!" : " ");
        }
        fmt::print("\n");
    }
    return is_right;
}

} // namespace

/// alternates_simulation [SEEDS]: exit code 1 when a figure (marked !) is off.
int main(int argc, char **argv) {
    const std::uint64_t seeds = argc > 1 ? std::stoull(argv[1]) : 100;
    const auto pause = [](Life &life) { leave_and_return(life, 4); };
    const auto absence = [](Life &life) { leave_and_return(life, 10); };
    const std::pair<Scenario, Bounds> scenarios[] = {
        {{"churn", 100, churn, 0, 7, 64}, {{1.9, 0.03, 0, 0}, {2.4, 0.08, 0.008, 0.001}}},
        {{"pause", 100, pause, 0, 7, 64}, {{1.9, 0.03, 0, 0}, {2.5, 0.09, 0.006, 0.0005}}},
        {{"absence", 30, absence, 10, 10, 3}, {{32, 26, 26, 26}, {35, 31, 31, 31}}},
        {{"absence", 30, absence, 10, 10, 8}, {{32, 12, 10, 10}, {35, 18, 15, 15}}},
        {{"absence", 30, absence, 10, 10, 64}, {{32, 4, 0.4, 0.02}, {35, 8, 1.2, 0.15}}},
    };
    fmt::print("broken flows, in percent of those whose backend lives; {} seeds\n", seeds);
    fmt::print("{:<8} {:>4} {:<10} {:>12} {:>9}  {:>9}  {:>9}  {:>9}\n", "SCENARIO", "SETS", "TABLE", "FLOWS", "NONE", "ONE", "TWO", "THREE");
    bool is_right = true;
    for (const auto &[scenario, bounds] : scenarios) is_right = report(scenario, bounds, seeds) && is_right;
    return is_right ? 0 : 1;
}
