// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/log.hpp"

#include <bpf/libbpf.h>
#include <fcntl.h>
#include <rte_log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <string_view>

namespace fairlead::io {

namespace {

std::atomic<bool> starting{true};
std::mutex complaint_lock;
std::string complaint;

void take_line(std::string_view text, bool is_error) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    if (text.empty()) return;
    if (is_error && starting.load(std::memory_order_relaxed)) {
        const std::lock_guard guard(complaint_lock);
        if (complaint.empty()) complaint = text;
    }
    const bool loud = is_error && !starting.load(std::memory_order_relaxed);
    spdlog::log(loud ? spdlog::level::warn : spdlog::level::debug, "{}", text);
}

ssize_t take_dpdk_text(void *, const char *text, std::size_t size) {
    take_line({text, size}, rte_log_cur_msg_loglevel() <= static_cast<int>(RTE_LOG_ERR));
    return static_cast<ssize_t>(size);
}

[[gnu::format(printf, 1, 0)]] int take_formatted(const char *format, va_list arguments, bool is_error) {
    char text[512];
    const int size = std::vsnprintf(text, sizeof(text), format, arguments);
    take_line(text, is_error);
    return size;
}

[[gnu::format(printf, 2, 0)]] int take_libbpf(libbpf_print_level level, const char *format, va_list arguments) {
    return take_formatted(format, arguments, level == LIBBPF_WARN);
}

[[gnu::format(printf, 2, 0)]] int take_libxdp(libxdp_print_level level, const char *format, va_list arguments) {
    return take_formatted(format, arguments, level == LIBXDP_WARN);
}

/// Puts `other` in a descriptor's place. @return what was there, under another number; -1: it was not open.
int replace(int number, int other) {
    const int kept = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
    if (kept >= 0) ::dup2(other, number);
    return kept;
}

void restore(int number, int kept) {
    if (kept < 0) return;
    ::dup2(kept, number);
    ::close(kept);
}

} // namespace

void start_log(const std::string &level, const std::string &program) {
    auto logger = std::make_shared<spdlog::logger>(program, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_level(spdlog::level::from_str(level));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %n: %v");
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));

    // The stream lives as long as the process: EAL's threads may log until the very end.
    static constexpr cookie_io_functions_t kFunctions{.read = nullptr, .write = take_dpdk_text, .seek = nullptr, .close = nullptr};
    if (std::FILE *stream = ::fopencookie(nullptr, "w", kFunctions)) {
        std::setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
        rte_openlog_stream(stream);
    }
    libbpf_set_print(take_libbpf);
    libxdp_set_print(take_libxdp);
}

void end_log_startup() { starting.store(false, std::memory_order_relaxed); }

std::string library_complaint() {
    const std::lock_guard guard(complaint_lock);
    return complaint;
}

void forget_library_complaint() {
    const std::lock_guard guard(complaint_lock);
    complaint.clear();
}

Silence::Silence() {
    if (spdlog::should_log(spdlog::level::debug)) return;
    const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nothing < 0) return;
    std::fflush(nullptr);
    stdout_ = replace(STDOUT_FILENO, nothing);
    stderr_ = replace(STDERR_FILENO, nothing);
    ::close(nothing);
}

Silence::~Silence() {
    std::fflush(nullptr);
    restore(STDOUT_FILENO, stdout_);
    restore(STDERR_FILENO, stderr_);
}

} // namespace fairlead::io
