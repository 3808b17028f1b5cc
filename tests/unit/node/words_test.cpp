// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>

#include "controlplane/node/command.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::node {
namespace {

using Words = std::vector<std::string>;

Words words_of(std::string_view text) {
    const auto command = Command::parse(text);
    EXPECT_TRUE(command) << text << ": " << command.error().format();
    return command ? command->words : Words{};
}

std::string error_of_parsing(std::string_view text) {
    const auto command = Command::parse(text);
    EXPECT_FALSE(command) << text;
    return command ? "" : command.error().format();
}

TEST(Command, IsSplitAtBlanksThatNoQuoteKeeps) {
    EXPECT_EQ(words_of("/bin/a"), (Words{"/bin/a"}));
    EXPECT_EQ(words_of("  /usr/sbin/birdc   disable\tfairlead "), (Words{"/usr/sbin/birdc", "disable", "fairlead"}));
    EXPECT_EQ(words_of("/bin/sh -c 'a b; c \"d\"' \"e 'f'\""), (Words{"/bin/sh", "-c", "a b; c \"d\"", "e 'f'"}));
    EXPECT_EQ(words_of(R"(/bin/a b\ c 'd\e' "f\"g" '' h"i"'j')"), (Words{"/bin/a", "b c", "d\\e", "f\"g", "", "hij"}));
}

TEST(Command, KnowsNothingOfAShell) {
    EXPECT_EQ(words_of("/bin/echo $HOME `id` > /tmp/x; true && *"),
              (Words{"/bin/echo", "$HOME", "`id`", ">", "/tmp/x;", "true", "&&", "*"}));
}

TEST(Command, ThatIsNoneIsRefusedWithWhatToDo) {
    EXPECT_EQ(error_of_parsing(""), "an empty command; give a program and its arguments");
    EXPECT_EQ(error_of_parsing("  "), "an empty command; give a program and its arguments");
    EXPECT_EQ(error_of_parsing("'' a"), "an empty command; give a program and its arguments");
    EXPECT_EQ(error_of_parsing("birdc disable x"),
              "'birdc' is no absolute path; give the program with its path; no shell runs it, for one give /bin/sh -c '...'");
    for (const char *open : {"/bin/a 'b", "/bin/a \"b", "/bin/a \"b\\\"", "/bin/a \\"})
        EXPECT_NE(error_of_parsing(open).find("has no end; close it"), std::string::npos) << open;
}

TEST(Command, IsCheckedBeforeItIsNeeded) {
    const publish::test::TemporaryDirectory directory;
    EXPECT_TRUE(Command::parse("/bin/true")->check());
    const auto why_not = [](const std::string &path) { return Command::parse(path)->check().error().format(); };
    EXPECT_EQ(why_not(directory.file("none")),
              directory.file("none") + ": cannot be run: No such file or directory; give a program that this user may run");
    EXPECT_NE(why_not(directory.file("")).find("Permission denied"), std::string::npos) << "a directory";
    std::ofstream(directory.file("text")) << "#!/bin/sh\n";
    EXPECT_NE(why_not(directory.file("text")).find("Permission denied"), std::string::npos) << "not executable, for root either";
    ASSERT_EQ(::chmod(directory.file("text").c_str(), 0755), 0);
    EXPECT_TRUE(Command::parse(directory.file("text"))->check());
}

} // namespace
} // namespace fairlead::node
