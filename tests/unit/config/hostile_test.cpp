// SPDX-License-Identifier: Apache-2.0
/// Files that nobody means well with, and files that were damaged: an error each, in bounded memory and time.
#include "controlplane/config/config.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "controlplane/config/yaml_tree.hpp"
#include "tests/unit/config/sample.hpp"

namespace fairlead::config {
namespace {

std::string repeated(std::string_view part, std::size_t size) {
    std::string text;
    while (text.size() < size) text += part;
    return text;
}

long resident_max_kib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

TEST(Hostile, ATextOverTheLimitIsRefusedUnread) {
    const std::string text(kConfigTextSizeMax + 1, '#');
    const auto config = parse(text, "big.yaml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().format(), "big.yaml: 16777217 bytes are too many; give at most 16 MiB");
}

TEST(Hostile, WhatIsNotUtf8IsRefusedWithItsLine) {
    for (const char *bad : {"\xff", "\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "\x80"}) {
        const auto config = parse(std::string("balancer:\n  # ") + bad + "\n", "bytes.yaml");
        ASSERT_FALSE(config);
        EXPECT_EQ(config.error().line, 2);
        EXPECT_NE(config.error().what.find("is not UTF-8"), std::string::npos) << config.error().format();
    }
    EXPECT_FALSE(find_not_utf8("a \xc3\xa9 \xe2\x82\xac \xed\x9f\xbf \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"));
}

TEST(Hostile, ALongValueIsCutBetweenCharacters) {
    std::string value = "x";
    for (int i = 0; i < 40; ++i) value += "\xc3\xa9";
    EXPECT_FALSE(find_not_utf8(config::quoted(value)));
}

TEST(Hostile, AnEndlessFileIsRefused) {
    const auto config = parse_file("/dev/zero");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().format(), "/dev/zero: is too big; give at most 16 MiB");
}

TEST(Hostile, AliasBombsAreCountedOut) {
    std::string text = "balancer: {source_address: 10.0.0.1}\nservices:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 40; ++i) {
        text += "  - &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; ++j) text += "*a" + std::to_string(i - 1) + (j < 9 ? ", " : "]\n");
    }
    const auto config = parse(text, "bomb.yaml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().what.find("more than 600000 values"), std::string::npos) << config.error().format();
}

TEST(Hostile, AServiceListMadeOfAliasesIsRefusedAsDuplicates) {
    const auto config = parse("balancer: {source_address: 10.0.0.1}\n"
                              "services:\n"
                              "  - &s {name: a, vip: 192.0.2.1, port: 80, protocol: tcp}\n"
                              "  - *s\n",
                              "twice.yaml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().format(),
              "twice.yaml:4: services[1].name: \"a\" is already the name of services[0]; give each service a name of its own");
}

TEST(Hostile, PathologicalTextsEndWithAnErrorInBoundedMemory) {
    constexpr std::size_t kSize = 1 << 20;
    for (const char *part : {"[", "{", "- ", "? ", "a: ", "&a ", "*a ", "!a ", "'", "\"", "|\n", ">\n", "---\n", "%TAG ! a\n", "a: b\n",
                             "- a\n", "[a,", "{a: ", "- - - -\n", "\t", "\r", "\xff\xfe", "\xef\xbb\xbf", ": ", "a:\n b:\n", "#\n",
                             "'\n", "\\", "0", "[]\n", "a: [\n", "&a [*a, ", "<<: *a\n", "? a\n: "}) {
        const auto config = parse(repeated(part, kSize), "odd.yaml");
        EXPECT_FALSE(config) << "of " << part;
        EXPECT_FALSE(config.error().what.empty());
        EXPECT_EQ(config.error().file, "odd.yaml");
        EXPECT_GT(config.error().line, 0) << config.error().format();
    }
    EXPECT_LT(resident_max_kib(), 1 << 20) << "KiB";
}

TEST(Hostile, TooManyServicesOrBackendsAreRefusedWithTheLimit) {
    std::string text = "balancer: {source_address: 10.0.0.1}\nservices:\n";
    for (int i = 0; i < 4097; ++i)
        text += "  - {name: s" + std::to_string(i) + ", vip: 192.0.2.1, port: " + std::to_string(i + 1) + ", protocol: tcp}\n";
    auto config = parse(text, "many.yaml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().format(), "many.yaml:3: services: 4097 elements; at most 4096 are possible");

    text = "balancer: {source_address: 10.0.0.1}\nservices:\n";
    for (int service = 0; service < 2; ++service) {
        text += "  - name: s" + std::to_string(service) + "\n    vip: 192.0.2.1\n    port: " + std::to_string(service + 1) +
                "\n    protocol: tcp\n    backends:\n";
        for (unsigned i = 0; i < 40000; ++i) text += "    - address: " + format_ipv4(wire::Be32::from_host(0x0b000000 + i)) + "\n";
    }
    config = parse(text, "many.yaml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().format(),
              "many.yaml:40012: services[1].backends: 80000 backends so far; at most 65535 are possible in all services together");
}

TEST(Hostile, AsManyBackendsAsThereAreSlotsAreRead) {
    std::string text = "balancer: {source_address: 10.0.0.1}\nservices:\n  - name: s\n    vip: 192.0.2.1\n    port: 80\n    protocol: tcp\n    backends:\n";
    for (unsigned i = 0; i < kBackendCountMax; ++i)
        text += "      - {address: " + format_ipv4(wire::Be32::from_host(0x0b000000 + i)) + ", weight: 65535, drain: false}\n";
    const auto config = parse(text, "full.yaml");
    ASSERT_TRUE(config) << config.error().format();
    EXPECT_EQ(config->services[0].backends.size(), kBackendCountMax);
}

/// Changes a text as a careless editor, a bad disk or an attacker would.
std::string mutated(std::string text, std::mt19937 &random) {
    const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : random() % bound; };
    static const char *kParts[] = {"-1", "65536", "99999999999999999999", "null", "[]", "{}", "&a", "*a", "---\n", "any", "true",
                                   "\"", "'", ":", "- ", "\t", "\x00\x01", "::1", "1.2.3.4", "web", "backends", "weight", "!!int", "\n", "#"};
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes && !text.empty(); ++i) {
        const std::size_t at = below(text.size());
        switch (below(6)) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + below(12)); break;
        case 2: text.insert(at, kParts[below(std::size(kParts))]); break;
        case 3: text.insert(at, text.substr(below(text.size()), below(80))); break;
        case 4: text.resize(at); break;
        case 5: {
            const std::size_t line = text.rfind('\n', at) + 1;
            text.insert(line, text.substr(line, text.find('\n', at) - line + 1));
            break;
        }
        }
    }
    return text;
}

TEST(Hostile, MutatedFilesAreRefusedWithTheirLineOrMeanSomethingWhole) {
    std::mt19937 random(7);
    int refused = 0;
    int accepted = 0;
    for (int i = 0; i < 20'000; ++i) {
        const std::string text = mutated(test::kSample, random);
        const auto config = parse(text, "mutated.yaml");
        if (config) {
            ++accepted;
            ASSERT_TRUE(validate(*config)) << text;
            const auto again = parse(format_yaml(*config), "again.yaml");
            ASSERT_TRUE(again) << again.error().format() << "\n" << text;
            ASSERT_EQ(*again, *config);
        } else {
            ++refused;
            ASSERT_EQ(config.error().file, "mutated.yaml");
            ASSERT_GT(config.error().line, 0) << config.error().format() << "\n" << text;
            const int lines = static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
            ASSERT_LE(config.error().line, lines + 1) << config.error().format() << "\n" << text;
            ASSERT_FALSE(config.error().what.empty());
            ASSERT_FALSE(config.error().mend.empty()) << config.error().format();
        }
    }
    EXPECT_GT(refused, 5'000);
    EXPECT_GT(accepted, 100);
}

} // namespace
} // namespace fairlead::config
