// SPDX-License-Identifier: Apache-2.0
/// The API's socket: who may use it, what lies in its place, and who connects with bad intentions.
#include "tests/unit/api/server_fixture.hpp"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "controlplane/publish/descriptor.hpp"

namespace fairlead::api {
namespace {

using state::test::config_with;

class ServerSocketTest : public test::ServerFixture {
  protected:
    [[nodiscard]] sockaddr_un address() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket_path().c_str(), sizeof(address.sun_path) - 1);
        return address;
    }
    [[nodiscard]] publish::Descriptor connect_raw() const {
        const sockaddr_un there = address();
        publish::Descriptor peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(peer.get(), reinterpret_cast<const sockaddr *>(&there), sizeof there) != 0) peer.reset();
        return peer;
    }
};

TEST_F(ServerSocketTest, TheSocketIsForOwnerAndGroupOnly) {
    const auto server = start();
    struct stat status {};
    ASSERT_EQ(::stat(socket_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0660u);
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    // The directory lets everybody in, so that it is the socket that says no.
    ASSERT_EQ(::chmod(directory_.file("").c_str(), 0755), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
        ::_exit(!connect_raw() && errno == EACCES ? 0 : 1);
    }
    int code = -1;
    ::waitpid(child, &code, 0);
    EXPECT_EQ(WEXITSTATUS(code), 0);
}

TEST_F(ServerSocketTest, AStaleSocketIsReplacedAndALiveOneIsNot) {
    { // what a kill -9 leaves
        const sockaddr_un here = address();
        const publish::Descriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        ASSERT_EQ(::bind(stale.get(), reinterpret_cast<const sockaddr *>(&here), sizeof here), 0);
    }
    auto first = start();
    ASSERT_TRUE(first) << first.error().format();
    const auto second = SocketLock::take(socket_path());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("another fairleadd serves this socket"), std::string::npos);
    EXPECT_TRUE(Client(socket_path(), std::chrono::seconds(10)).status()) << "the first is unharmed";
    first->reset();
    EXPECT_FALSE(std::filesystem::exists(socket_path())) << "nothing is left";
}

TEST_F(ServerSocketTest, WithoutADaemonACallSaysWhatToDo) {
    const auto answer = Client(socket_path(), std::chrono::seconds(10)).status();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, CallFailure::Kind::kUnreachable);
    EXPECT_EQ(answer.error().error.what, "cannot reach fairleadd: No such file or directory");
}

TEST_F(ServerSocketTest, APathTooLongForASocketIsRefused) {
    const auto lock = SocketLock::take(directory_.file(std::string(120, 'x')));
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().what.find("too many for a socket's path"), std::string::npos);
}

long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
}

/// FAULTS F14.
TEST_F(ServerSocketTest, AThousandConnectionsHalfMessagesAndAGiantOneHarmNobody) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4096) GTEST_SKIP() << "needs 4,096 descriptors";
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto server = start();
    const long before_kib = resident_kib();

    // Half of them say nothing, the rest the beginning of HTTP/2 and then nothing, or no HTTP/2 at all.
    std::vector<publish::Descriptor> peers;
    constexpr std::string_view kBeginnings[] = {"", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                                std::string_view("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\xff", 35)};
    for (int i = 0; i < 1000; ++i) {
        peers.push_back(connect_raw());
        ASSERT_TRUE(peers.back()) << i;
        const std::string_view text = kBeginnings[i % 4];
        (void)::send(peers.back().get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
    Client client(socket_path(), std::chrono::seconds(20));
    EXPECT_TRUE(client.status());

    v1::ApplyRequest giant;
    giant.set_text(std::string(64u << 20, '#'));
    const auto refused = client.apply(giant);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    giant.clear_text();
    EXPECT_TRUE(client.status());
    EXPECT_EQ(controller_->view()->config, config_with(2));
    // The client's 64 MiB are this process's own: twice, as text and as message.
    EXPECT_LT(resident_kib() - before_kib, 400 << 10);
}

TEST_F(ServerSocketTest, TheDaemonsProcessIsKnownByItsSocket) {
    Client client(socket_path(), std::chrono::seconds(10));
    EXPECT_FALSE(client.daemon_process()) << "nobody listens";
    const auto server = start();
    const publish::Descriptor process = client.daemon_process();
    ASSERT_TRUE(process);
    std::ifstream facts("/proc/self/fdinfo/" + std::to_string(process.get()));
    const std::string text{std::istreambuf_iterator<char>(facts), {}};
    EXPECT_NE(text.find("Pid:\t" + std::to_string(::getpid()) + "\n"), std::string::npos) << text;
}

} // namespace
} // namespace fairlead::api
