// SPDX-License-Identifier: Apache-2.0
// Fuzzes the configuration's parser: what it takes satisfies the rules, and is what it reads back after writing.
#include "controlplane/config/config.hpp"
#include "tests/fuzz/exact_worker.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace fairlead;
    const std::string text(reinterpret_cast<const char *>(data), size);
    const auto config = config::parse(text, "fuzz.yaml");
    if (!config) {
        fuzz::require(!config.error().format().empty(), "an error says what it is");
        return 0;
    }
    fuzz::require(config::validate(*config).has_value(), "what parse() takes satisfies the rules");
    const auto again = config::parse(config::format_yaml(*config), "again.yaml");
    fuzz::require(again.has_value() && *again == *config, "what is written reads back as the same");
    return 0;
}
