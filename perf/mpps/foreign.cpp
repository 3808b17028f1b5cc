// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/foreign.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace fairlead::mpps {

ForeignWork::Account ForeignWork::now() {
    Account account{};
    std::ifstream file("/proc/stat");
    for (std::string line; std::getline(file, line) && line.starts_with("cpu");) {
        if (std::isdigit(static_cast<unsigned char>(line[3]))) {
            ++account.cpus;
            continue;
        }
        std::istringstream columns(line.substr(3));
        double user = 0, nice = 0, system = 0, idle = 0, iowait = 0;
        columns >> user >> nice >> system >> idle >> iowait;
        account.idle_s = (idle + iowait) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
    timespec own{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    account.own_s = static_cast<double>(own.tv_sec) + static_cast<double>(own.tv_nsec) / 1e9;
    account.at = std::chrono::steady_clock::now();
    return account;
}

double ForeignWork::percent() const {
    const Account after = now();
    const double elapsed_s = std::chrono::duration<double>(after.at - before_.at).count();
    const double foreign_s = elapsed_s * before_.cpus - (after.idle_s - before_.idle_s) - (after.own_s - before_.own_s);
    return elapsed_s > 0 ? std::max(0.0, 100 * foreign_s / elapsed_s) : 0;
}

} // namespace fairlead::mpps
