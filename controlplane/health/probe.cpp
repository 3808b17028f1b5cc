// SPDX-License-Identifier: Apache-2.0
#include "controlplane/health/probe.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace fairlead::health {

namespace {

/// The status line has said it all: ends the transfer, however long the body would be.
std::size_t refuse_body(char *, std::size_t, std::size_t, void *) { return 0; }

bool is_expected(long status, const config::HealthCheck &check) {
    return std::ranges::any_of(check.status, [status](const config::StatusRange &range) {
        return status >= range.low && status <= range.high;
    });
}

/// Errors of connect() that speak of the way to the host or of the host itself.
bool is_unreachable(long error_number) {
    switch (error_number) {
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENONET:
    case ETIMEDOUT: return true;
    default: return false;
    }
}

/// Errors of connect() after which the other end has answered.
bool is_answer(long error_number) { return error_number == ECONNREFUSED || error_number == ECONNRESET; }

std::string text_of(long error_number) { return std::generic_category().message(static_cast<int>(error_number)); }

Finding judge_connect_error(CURL *easy, const config::HealthCheck &check) {
    long error_number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error_number);
    if (error_number == ECONNREFUSED) return {Verdict::kBad, fmt::format("connection to port {} refused", check.port)};
    const std::string reason = fmt::format("connect to port {}: {}", check.port, text_of(error_number));
    if (is_answer(error_number)) return {Verdict::kBad, reason};
    // The rest (no local port, no descriptor, a local filter) is this host's own trouble.
    return {is_unreachable(error_number) ? Verdict::kSilent : Verdict::kNone, reason};
}

Finding judge_timeout(CURL *easy, const config::HealthCheck &check) {
    curl_off_t connect_us = 0;
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connect_us);
    if (connect_us == 0) return {Verdict::kSilent, fmt::format("connect to port {} timed out", check.port)};
    return {Verdict::kBad, fmt::format("no answer on port {} in {}", check.port, config::format_duration_ms(check.timeout_ms))};
}

Finding judge_status(CURL *easy, const config::HealthCheck &check) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (is_expected(status, check)) return {Verdict::kGood, {}};
    return {Verdict::kBad, fmt::format("HTTP status {}, not {}", status, config::format_statuses(check.status))};
}

} // namespace

void set_up_probe(CURL *easy, const Target &target) {
    const config::HealthCheck &check = target.check;
    const bool is_http = check.type == config::HealthType::kHttp;
    const std::string url = fmt::format("http://{}:{}{}", config::format_ipv4(wire::Be32::from_host(target.key.address)),
                                        check.port, is_http ? check.path : "/");
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(check.timeout_ms));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(check.timeout_ms));
    if (!is_http) {
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
        return;
    }
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "fairlead-health/" FAIRLEAD_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, refuse_body);
}

Finding judge_probe(CURL *easy, CURLcode code, const Target &target) {
    const config::HealthCheck &check = target.check;
    const bool is_http = check.type == config::HealthType::kHttp;
    switch (code) {
    case CURLE_OK: return is_http ? judge_status(easy, check) : Finding{Verdict::kGood, {}};
    case CURLE_WRITE_ERROR: return judge_status(easy, check); // refuse_body()
    case CURLE_COULDNT_CONNECT: return judge_connect_error(easy, check);
    case CURLE_OPERATION_TIMEDOUT: return judge_timeout(easy, check);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_UNSUPPORTED_PROTOCOL: // what curl calls an answer that is no HTTP/1
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return {Verdict::kBad, fmt::format("port {} gave no HTTP answer: {}", check.port, curl_easy_strerror(code))};
    default: return {Verdict::kNone, fmt::format("the probe could not be made: {}", curl_easy_strerror(code))};
    }
}

} // namespace fairlead::health
