// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/placement.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <set>

namespace fairlead::io {

namespace {

bool parse_number(std::string_view text, unsigned &number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number < CPU_SETSIZE;
}

} // namespace

Result<std::vector<unsigned>> parse_cpu_list(std::string_view text) {
    std::set<unsigned> cpus;
    std::string_view rest = text;
    do {
        const auto part = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
        const auto dash = part.find('-');
        unsigned first = 0;
        unsigned last = 0;
        const bool parsed = parse_number(part.substr(0, dash), first) &&
                            parse_number(dash == part.npos ? part : part.substr(dash + 1), last);
        if (!parsed || first > last)
            return std::unexpected(fmt::format("'{}' in '{}' is no CPU and no range of CPUs, such as 2,4-6", part, text));
        for (unsigned cpu = first; cpu <= last; ++cpu) cpus.insert(cpu);
    } while (!rest.empty());
    return std::vector<unsigned>(cpus.begin(), cpus.end());
}

std::string format_cpu_list(std::span<const unsigned> cpus) {
    std::string text;
    for (const auto cpu : cpus) {
        if (!text.empty()) text += ',';
        text += std::to_string(cpu);
    }
    return text;
}

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cpus;
    if (::sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

std::string Placement::lcores() const {
    std::string text = fmt::format("0@({})", format_cpu_list(main_cpus));
    for (std::size_t worker = 0; worker < worker_cpus.size(); ++worker)
        text += fmt::format(",{}@({})", worker + 1, format_cpu_list(worker_cpus[worker]));
    return text;
}

Result<Placement> place(std::span<const unsigned> allowed, std::span<const unsigned> requested, unsigned worker_count,
                        bool pin, std::span<const unsigned> near) {
    std::vector<unsigned> missing;
    std::ranges::set_difference(requested, allowed, std::back_inserter(missing));
    if (!missing.empty())
        return std::unexpected(fmt::format("--lcores: no CPU {} here; this process may use {}", format_cpu_list(missing),
                                           format_cpu_list(allowed)));
    if (worker_count == 0) worker_count = std::max(1U, static_cast<unsigned>(requested.size()));
    if (requested.size() > worker_count)
        return std::unexpected(fmt::format("--lcores {} names more CPUs than the {} workers",
                                           format_cpu_list(requested), worker_count));

    // The last CPUs for the workers: the kernel's own work tends to be on the first.
    std::span<const unsigned> cpus = requested;
    if (requested.empty()) {
        cpus = near.empty() ? allowed : near;
        if (pin && cpus.size() > worker_count) cpus = cpus.last(worker_count);
    }
    const bool one_each = cpus.size() == worker_count && (pin || !requested.empty());

    Placement placement;
    for (unsigned worker = 0; worker < worker_count; ++worker)
        placement.worker_cpus.push_back(one_each ? std::vector{cpus[worker]}
                                                 : std::vector<unsigned>(cpus.begin(), cpus.end()));
    std::ranges::set_difference(allowed, cpus, std::back_inserter(placement.main_cpus));
    if (placement.main_cpus.empty()) placement.main_cpus.assign(allowed.begin(), allowed.end());
    return placement;
}

} // namespace fairlead::io
