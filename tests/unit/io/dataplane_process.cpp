// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/io/dataplane_process.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

namespace fairlead::io::test {

DataplaneProcess::DataplaneProcess(const std::filesystem::path &runtime_directory, const std::vector<std::string> &given) {
    const char *program = std::getenv("FAIRLEAD_DATAPLANE");
    std::vector<std::string> arguments{program != nullptr ? program : "fairlead-dataplane", "--runtime-dir", runtime_directory.string()};
    arguments.insert(arguments.end(), given.begin(), given.end());
    for (const auto &[option, value] : {std::pair("--hugepages", "off"), {"--idle", "backoff"}, {"--connections", "4096"}})
        if (std::ranges::find(given, option) == given.end()) arguments.insert(arguments.end(), {option, value});
    if (std::ranges::find(given, "--table-directory") == given.end()) arguments.emplace_back("--forget");
    std::vector<char *> pointers;
    for (auto &argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    stderr_ = Descriptor(::memfd_create("stderr", MFD_CLOEXEC));
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that dies takes its child along
    ::dup2(stderr_.get(), STDERR_FILENO);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
}

DataplaneProcess::~DataplaneProcess() {
    if (pid_ <= 0) return;
    signal(SIGKILL);
    wait();
}

void DataplaneProcess::signal(int number) const { ::kill(pid_, number); }

int DataplaneProcess::wait() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string DataplaneProcess::said() {
    std::string text(1U << 16, '\0');
    const auto size = ::pread(stderr_.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

} // namespace fairlead::io::test
