// SPDX-License-Identifier: Apache-2.0
//
// Requests about policies as packets: what of them reaches the memory half, what is answered, and
// what is refused. Beside sessions_test.cpp, which tests connections.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/broker/peer.hpp"
#include "core/broker/sessions.hpp"
#include "tests/unit/core/broker/fake_memory.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

template <class Message>
protocol::Packet packet_of(Message message, std::uint64_t request = 2) {
    message.header = {protocol::packet_magic, Message::kind, request};
    protocol::Packet packet;
    std::memcpy(packet.bytes.data(), &message, sizeof(message));
    packet.size = sizeof(message);
    return packet;
}

class PolicyPackets : public testing::Test {
protected:
    void SetUp() override {
        rules_.own_uid = ::getuid();
        rules_.connections_max = 4;
        rules_.doorbell = doorbell_.get();
        make();
    }
    void make() { sessions_ = std::make_unique<Sessions>(memory_, rules_, clock_); }

    // A session of this process; `client` is its other end.
    ConnectionId attach(Fd& client) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        client.reset(ends[0]);
        const ConnectionId id = sessions_->admit(Fd(ends[1])).value();
        protocol::Hello hello{};
        hello.version = protocol::version;
        hello.fingerprint = layout_fingerprint();
        hello.start_time = start_time_of(::getpid()).value_or(0);
        sessions_->received(id, packet_of(hello), false);
        EXPECT_EQ(answer(client).header()->kind, protocol::Kind::welcome);
        return id;
    }
    static protocol::Packet answer(const Fd& client) {
        auto packet = protocol::receive_packet(client.get(), monotonic_ns() + ns_per_s);
        EXPECT_TRUE(packet) << "no answer";
        return packet ? std::move(*packet) : protocol::Packet{};
    }
    static protocol::Refused refusal(const Fd& client) {
        protocol::Refused refused{};
        EXPECT_TRUE(answer(client).read(refused));
        return refused;
    }

    ManualClock clock_;
    FakeMemory memory_;
    Fd doorbell_{::eventfd(0, EFD_CLOEXEC)};
    SessionRules rules_;
    std::unique_ptr<Sessions> sessions_;
};

TEST_F(PolicyPackets, APolicyIsSetAndWhatItDidIsAnswered) {
    Fd client;
    const ConnectionId id = attach(client);
    protocol::SetPolicy request{};
    protocol::copy_text(request.pattern, "queue://a.>");
    protocol::copy_text(request.settings, "limit=1MiB\noverflow=fail");
    sessions_->received(id, packet_of(request, 9), false);
    protocol::PolicyChanged changed{};
    ASSERT_TRUE(answer(client).read(changed));
    EXPECT_EQ(changed.header.request, 9u);
    EXPECT_EQ(changed.generation, 5u);
    EXPECT_EQ(changed.destinations, 2u);
    EXPECT_EQ(changed.over_limit, 1u);
    EXPECT_EQ(protocol::read_text(changed.note), "a note");
    EXPECT_TRUE(memory_.was_called("policy queue://a.> limit=1MiB\noverflow=fail"));
    // A refusal is an answer; the session goes on.
    protocol::copy_text(request.settings, "");
    sessions_->received(id, packet_of(request), false);
    EXPECT_EQ(refusal(client).code, Refusal::bad_policy);
    EXPECT_EQ(sessions_->state(id), ConnectionState::attached);
}

TEST_F(PolicyPackets, ATextThatMayHaveBeenCutIsNoPolicy) {
    Fd client;
    const ConnectionId id = attach(client);
    protocol::SetPolicy request{};
    std::memset(request.settings, '1', sizeof(request.settings));  // no end
    protocol::copy_text(request.pattern, "queue://a");
    sessions_->received(id, packet_of(request), false);
    EXPECT_EQ(refusal(client).code, Refusal::bad_policy);
    protocol::copy_text(request.settings, "limit=1MiB");
    std::memset(request.pattern, 'a', sizeof(request.pattern));
    sessions_->received(id, packet_of(request), false);
    EXPECT_EQ(refusal(client).code, Refusal::bad_policy);
    protocol::Packet longer = packet_of(request);
    longer.size += 8;
    sessions_->received(id, longer, false);
    EXPECT_EQ(refusal(client).code, Refusal::bad_request);
    EXPECT_NE(sessions_->state(id), ConnectionState::attached) << "a wrong length is nonsense";
    for (const std::string& call : memory_.calls) EXPECT_FALSE(call.starts_with("policy")) << call;
}

TEST_F(PolicyPackets, AKeyOfAPolicyIsShownWithItsReason) {
    Fd client;
    const ConnectionId id = attach(client);
    protocol::ShowPolicy request{};
    request.key = 1;
    protocol::copy_text(request.destination, "queue://a");
    sessions_->received(id, packet_of(request), false);
    protocol::PolicyShown shown{};
    ASSERT_TRUE(answer(client).read(shown));
    EXPECT_EQ(shown.generation, 7u);
    EXPECT_EQ(shown.number, 4096u);
    EXPECT_EQ(shown.origin, 1u);
    EXPECT_EQ(protocol::read_text(shown.name), "reserve");
    EXPECT_EQ(protocol::read_text(shown.value), "4KiB");
    EXPECT_EQ(protocol::read_text(shown.pattern), "queue://a");
    EXPECT_EQ(protocol::read_text(shown.place), "weir.toml:3");
    for (const std::uint32_t key : {13u, 4294967295u}) {
        request.key = key;
        sessions_->received(id, packet_of(request), false);
        EXPECT_EQ(refusal(client).code, Refusal::not_found);
    }
}

TEST_F(PolicyPackets, TheFileIsReadAgainIfThereIsOne) {
    Fd client;
    const ConnectionId id = attach(client);
    sessions_->received(id, packet_of(protocol::ReadPolicies{}), false);
    EXPECT_EQ(refusal(client).code, Refusal::not_found);
    rules_.read_policies = [] {
        return Result<PolicyChange, Refused>(fail(Refusal::bad_policy, std::string("weir.toml:1")));
    };
    make();
    Fd other;
    const ConnectionId second = attach(other);
    sessions_->received(second, packet_of(protocol::ReadPolicies{}), false);
    EXPECT_EQ(refusal(other).code, Refusal::bad_policy);
    EXPECT_FALSE(sessions_->read_policies());
}

}  // namespace
}  // namespace weir::broker
