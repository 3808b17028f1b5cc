// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/program_holder.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace fairlead::io {

namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path &path) {
    std::string line;
    std::ifstream file(path);
    std::getline(file, line);
    return line;
}

bool holds_program(const fs::path &process, std::uint32_t program_id) {
    std::error_code error;
    for (const auto &descriptor : fs::directory_iterator(process / "fdinfo", error)) {
        std::ifstream file(descriptor.path());
        for (std::string line; std::getline(file, line);) {
            unsigned id = 0;
            if (std::sscanf(line.c_str(), "prog_id: %u", &id) == 1 && id == program_id) return true;
        }
    }
    return false;
}

} // namespace

std::string own_process_name() { return first_line("/proc/self/comm"); }

std::vector<ProgramHolder> program_holders(std::uint32_t program_id) {
    std::vector<ProgramHolder> holders;
    const std::string own_number = std::to_string(::getpid());
    std::error_code error;
    for (const auto &process : fs::directory_iterator("/proc", error)) {
        const std::string number = process.path().filename();
        if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }) || number == own_number) continue;
        if (holds_program(process.path(), program_id)) holders.push_back({number, first_line(process.path() / "comm")});
    }
    return holders;
}

} // namespace fairlead::io
