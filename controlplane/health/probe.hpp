// SPDX-License-Identifier: Apache-2.0
/// One probe as a libcurl transfer: how it is set up, and what its end says of the backend. libcurl does
/// the connecting, the clock of the timeout and the HTTP.
#pragma once

#include <string>

#include <curl/curl.h>

#include "controlplane/health/target.hpp"

namespace fairlead::health {

struct Finding {
    Verdict verdict = Verdict::kNone;
    std::string reason; ///< why not good: `connection to port 80 refused`; empty when it is
};

/// Makes `easy`, used before or not, a probe of `target`. Probes are plain and leave nothing open: no proxy
/// from the environment, no redirects, no reuse of a connection, and an HTTP body is not read.
void set_up_probe(CURL *easy, const Target &target);

/// What a transfer that ended with `code` says.
[[nodiscard]] Finding judge_probe(CURL *easy, CURLcode code, const Target &target);

} // namespace fairlead::health
