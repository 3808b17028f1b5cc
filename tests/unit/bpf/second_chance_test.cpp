// SPDX-License-Identifier: Apache-2.0
/// Whose connection is it? The second chance's decision about real sockets of the kernel, in every state that a
/// connection can be in.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "tests/unit/bpf/own_network_fixture.hpp"

namespace fairlead::bpf::test {
namespace {

using enum wire::BackendOutcome;

constexpr std::uint16_t kServerPort = 80;
constexpr std::uint16_t kClientPort = 40'001;
constexpr unsigned kAck = wire::kTcpAck;
constexpr unsigned kSyn = wire::kTcpSyn;
constexpr unsigned kFin = wire::kTcpFin;
constexpr unsigned kRst = wire::kTcpRst;

/// A listening socket of the kernel on the VIP.
class Server {
  public:
    Server() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in here{};
        here.sin_family = AF_INET;
        here.sin_port = htons(kServerPort);
        std::memcpy(&here.sin_addr, &kVip, 4);
        if (::bind(listener_.get(), reinterpret_cast<const sockaddr *>(&here), sizeof(here)) != 0 ||
            ::listen(listener_.get(), 16) != 0)
            throw std::runtime_error(std::string("cannot listen: ") + std::strerror(errno));
    }
    [[nodiscard]] Descriptor accept() const { return Descriptor(::accept(listener_.get(), nullptr, nullptr)); }

  private:
    Descriptor listener_;
};

class SecondChance : public BackendOnItsNetwork {
  protected:
    void expect(const Segment &segment, BackendOutcome outcome, const std::vector<wire::Be32> &hops = {kNeighbour}) {
        const auto inner = tcp_packet(segment);
        const auto result = run_expecting(gue_frame(gue_with_hops(inner, hops)), outcome);
        if (outcome != kBackend_next_hop) { EXPECT_EQ(result.frame, ethernet(inner)); }
    }
    /// What the client would send next, with these flags and, perhaps, another acknowledgement.
    void expect(unsigned flags, BackendOutcome outcome, std::uint32_t acknowledgement_off_by = 0) {
        auto segment = client_.next(static_cast<std::uint8_t>(flags));
        segment.acknowledgement += acknowledgement_off_by;
        expect(segment, outcome);
    }
    /// Nobody else is left to ask.
    void expect_last(unsigned flags, BackendOutcome outcome) { expect(client_.next(static_cast<std::uint8_t>(flags)), outcome, {}); }

    void SetUp() override {
        if (!missing_) missing_ = enter_own_network(); // a new one: no socket of another test
        BackendOnItsNetwork::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        server_.emplace();
        client_ = WireClient(kClientPort, kServerPort);
    }

    std::optional<Server> server_;
    WireClient client_{kClientPort, kServerPort};
};

TEST_F(SecondChance, ASynIsAlwaysDelivered) {
    expect(kSyn, kBackend_delivered_syn);
    client_.connect();
    const auto connection = server_->accept();
    expect(kSyn, kBackend_delivered_syn);
}

TEST_F(SecondChance, AConnectionIsDeliveredInEveryState) {
    client_.connect();
    auto connection = server_->accept();
    const auto expect_all = [this] {
        for (const unsigned flags : {kAck, kAck | wire::kTcpPsh, kFin | kAck, kRst | kAck, kRst, kSyn | kAck})
            expect(flags, kBackend_delivered_connection);
        expect(client_.next(kAck, 500), kBackend_delivered_connection);
        expect_last(kAck, kBackend_delivered_connection);
    };
    ASSERT_TRUE(await_state(kClientPort, TCP_ESTABLISHED));
    expect_all();
    client_.send(kFin | kAck);
    ASSERT_TRUE(await_state(kClientPort, TCP_CLOSE_WAIT));
    expect_all();
    ASSERT_EQ(::shutdown(connection.get(), SHUT_WR), 0);
    client_.await(kFin);
    ASSERT_TRUE(await_state(kClientPort, TCP_LAST_ACK));
    expect_all();
}

TEST_F(SecondChance, ANeighbouringConnectionIsNotTheConnection) {
    client_.connect();
    const auto connection = server_->accept();
    auto other = client_.next(kAck);
    ++other.source_port;
    expect(other, kBackend_next_hop); // the listener has it, without a cookie
    other = client_.next(kAck);
    ++other.destination_port;
    expect(other, kBackend_next_hop); // nobody has it
    expect(other, kBackend_delivered_last, {});
}

TEST_F(SecondChance, AHalfOpenConnectionIsOnlyForWhoAcknowledgesItsSynAck) {
    client_.send(kSyn);
    client_.await(kSyn | kAck);
    for (const unsigned flags : {kAck, kAck | wire::kTcpPsh, kFin | kAck, kRst | kAck}) {
        expect(flags, kBackend_delivered_request);
        for (const std::uint32_t off_by : {1U, ~0U, 0x8000'0000U, 12'345U}) expect(flags, kBackend_next_hop, off_by);
    }
    expect(client_.next(kAck, 500), kBackend_delivered_request);
    expect_last(kAck, kBackend_delivered_request);
    auto stranger = client_.next(kAck);
    ++stranger.acknowledgement;
    expect(stranger, kBackend_delivered_last, {});
}

TEST_F(SecondChance, ARstWithoutAcknowledgementIsForTheSynAckThatItAnswers) {
    client_.send(kSyn);
    client_.await(kSyn | kAck);
    auto rst = client_.next(kRst);
    expect(rst, kBackend_delivered_request);
    rst.sequence += 1;
    expect(rst, kBackend_next_hop);
    expect(kFin, kBackend_next_hop); // no client sends this
}

TEST_F(SecondChance, TimeWaitIsForWhatEndsAConnection) {
    client_.connect();
    { const auto closed_by_the_server = server_->accept(); }
    client_.await(kFin);
    client_.send(kFin | kAck);
    ASSERT_TRUE(await_state(kClientPort, TCP_TIME_WAIT));
    expect(kFin | kAck, kBackend_delivered_time_wait);
    expect(kRst, kBackend_delivered_time_wait);
    expect(kRst | kAck, kBackend_delivered_time_wait);
    expect(kAck, kBackend_next_hop); // another backend may have the tuple again
    expect(client_.next(kAck, 100), kBackend_next_hop);
    expect_last(kAck, kBackend_delivered_last);
}

TEST_F(SecondChance, AConnectionThatTheClientHasNotClosedIsAlive) {
    client_.connect();
    { const auto closed_by_the_server = server_->accept(); }
    client_.await(kFin);
    client_.send(kAck);
    // Linux keeps such a socket among those in TIME_WAIT.
    ASSERT_TRUE(await_state(kClientPort, TCP_FIN_WAIT2));
    for (const unsigned flags : {kAck, kFin | kAck, kRst}) expect(flags, kBackend_delivered_connection);
}

TEST_F(SecondChance, AListenerIsForWhoBearsItsCookie) {
    client_.send(kSyn);
    client_.await(kSyn | kAck);
    auto bearer = WireClient(kClientPort + 1, kServerPort);
    set_ipv4("tcp_syncookies", "2"); // always, and never a half-open connection
    bearer.send(kSyn);
    bearer.await(kSyn | kAck);
    const auto right = bearer.next(kAck);
    expect(right, kBackend_delivered_cookie);
    expect(right, kBackend_delivered_cookie, {});
    for (const std::uint32_t off_by : {4U, 64U, ~0U, 0x0100'0000U, 0x8000'0000U}) { // 1 to 3: cookies of another MSS
        auto wrong = right;
        wrong.acknowledgement += off_by;
        expect(wrong, kBackend_next_hop);
    }
    auto wrong = right;
    ++wrong.source_port;
    expect(wrong, kBackend_next_hop);
    set_ipv4("tcp_syncookies", "0");
    expect(right, kBackend_next_hop);
}

TEST_F(SecondChance, SwitchedOffItDeliversEverything) {
    configure(kGuePort, wire::kSecondChanceOff);
    expect(kAck, kBackend_delivered);
    expect(kSyn, kBackend_delivered);
    auto message = gue_with_hops(tcp_packet(client_.next(kAck)), {kNeighbour});
    message[7] = 200; // not even looked at
    run_expecting(gue_frame(message), kBackend_delivered);
}

} // namespace
} // namespace fairlead::bpf::test
