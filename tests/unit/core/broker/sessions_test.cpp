// SPDX-License-Identifier: Apache-2.0
//
// Connections over real sockets and real processes, with a memory half that only records: what is
// checked and in which order, what strangers can and cannot do, and who is freed when. S1 to S4 are
// those of sessions.hpp.
#include "core/broker/sessions.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>

#include "core/broker/peer.hpp"
#include "tests/unit/core/broker/fake_memory.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

protocol::Hello good_hello() {
    protocol::Hello hello{};
    hello.header = {protocol::packet_magic, protocol::Kind::hello, 1};
    hello.version = protocol::version;
    hello.fingerprint = layout_fingerprint();
    hello.start_time = start_time_of(getpid()).value_or(0);
    protocol::copy_text(hello.name, "test");
    return hello;
}

template <class Message>
protocol::Packet packet_of(Message message, std::uint64_t request = 2) {
    message.header = {protocol::packet_magic, Message::kind, request};
    protocol::Packet packet;
    std::memcpy(packet.bytes.data(), &message, sizeof(message));
    packet.size = sizeof(message);
    return packet;
}

// A socket whose other end was connected by a child process that lives until it is told otherwise.
class ChildPeer {
public:
    ChildPeer() {
        int ends[2];
        EXPECT_EQ(::pipe(ends), 0);
        Fd reader(ends[0]);
        release_.reset(ends[1]);
        Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_storage address{};  // an abstract name of the kernel's choice
        address.ss_family = AF_UNIX;
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(::bind(listener.get(), name, sizeof(sa_family_t)), 0);
        EXPECT_EQ(::listen(listener.get(), 1), 0);
        socklen_t length = sizeof(address);
        EXPECT_EQ(::getsockname(listener.get(), name, &length), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            release_.reset();
            const int connected = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
            if (::connect(connected, name, length) != 0) ::_exit(1);
            char byte = 0;
            // Closed on command, and then alive until killed.
            if (::read(reader.get(), &byte, 1) == 1) ::close(connected);
            for (;;) ::pause();
        }
        socket.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    ~ChildPeer() { kill(); }

    void close_socket() {
        ASSERT_EQ(::write(release_.get(), "x", 1), 1);
        pollfd closed{broker_end, POLLIN, 0};
        ASSERT_EQ(::poll(&closed, 1, 5000), 1);
    }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        // Dead but not yet collected: that is when a pidfd must already tell.
        siginfo_t info{};
        ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
        ::waitpid(std::exchange(pid_, 0), nullptr, 0);
    }
    std::uint64_t start_time() const { return start_time_of(pid_).value_or(0); }
    pid_t pid() const { return pid_; }

    Fd socket;
    int broker_end = -1;

private:
    pid_t pid_ = 0;
    Fd release_;
};

class SessionsTest : public testing::Test {
protected:
    void SetUp() override {
        rules_.own_uid = ::getuid();
        rules_.connections_max = 4;
        rules_.doorbell = doorbell_.get();
        make();
    }
    void make() { sessions_ = std::make_unique<Sessions>(memory_, rules_, clock_); }

    // A connection of this process; `client` is its other end.
    ConnectionId connect(Fd& client) {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        client.reset(ends[0]);
        return sessions_->admit(Fd(ends[1])).value();
    }
    ConnectionId attach(Fd& client) {
        const ConnectionId id = connect(client);
        sessions_->received(id, packet_of(good_hello(), 1), false);
        EXPECT_EQ(answer(client).header()->kind, protocol::Kind::welcome);
        return id;
    }
    ConnectionId attach_child(ChildPeer& child) {
        child.broker_end = child.socket.get();
        const ConnectionId id = sessions_->admit(std::move(child.socket)).value();
        protocol::Hello hello = good_hello();
        hello.start_time = child.start_time();
        sessions_->received(id, packet_of(hello, 1), false);
        EXPECT_EQ(sessions_->state(id), ConnectionState::attached);
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
    // The hello is refused with this code and the connection is over.
    void expect_rejected(const protocol::Packet& packet, Refusal code, bool cut = false) {
        Fd client;
        const ConnectionId id = connect(client);
        sessions_->received(id, packet, cut);
        const protocol::Refused refused = refusal(client);
        EXPECT_EQ(refused.code, code) << refused.sentence;
        EXPECT_NE(refused.sentence[0], '\0');
        ASSERT_EQ(sessions_->state(id), ConnectionState::over);
        sessions_->forget(id);
        EXPECT_EQ(memory_.opened, 0u);
        EXPECT_EQ(sessions_->living(), 0u);
    }

    ManualClock clock_;
    FakeMemory memory_;
    Fd doorbell_{::eventfd(0, EFD_CLOEXEC)};
    SessionRules rules_;
    std::unique_ptr<Sessions> sessions_;
};

TEST_F(SessionsTest, AHelloThatPassesIsWelcomedWithFiveDescriptors) {
    Fd client;
    const ConnectionId id = connect(client);
    sessions_->received(id, packet_of(good_hello(), 5), false);
    const protocol::Packet packet = answer(client);
    protocol::Welcome welcome{};
    ASSERT_TRUE(packet.read(welcome));
    EXPECT_EQ(welcome.header.request, 5u);
    EXPECT_EQ(welcome.session, 1u);
    EXPECT_EQ(packet.fds.size(), 5u);
    EXPECT_EQ(memory_.last_evidence.pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(memory_.last_evidence.uid, ::getuid());
    EXPECT_EQ(memory_.last_evidence.name, "test");
    EXPECT_EQ(sessions_->state(id), ConnectionState::attached);
}

TEST_F(SessionsTest, GarbageBeforeAHelloIsRefusedAndEndsTheConnection) {
    protocol::Packet garbage;
    garbage.size = 100;
    expect_rejected(garbage, Refusal::bad_request);
    garbage.size = 3;
    expect_rejected(garbage, Refusal::bad_request);
    expect_rejected(packet_of(good_hello()), Refusal::bad_request, true);  // cut by the kernel
    protocol::Packet wrong_length = packet_of(good_hello());
    wrong_length.size -= 8;
    expect_rejected(wrong_length, Refusal::bad_request);
    expect_rejected(packet_of(protocol::OpenProducer{}), Refusal::bad_request);
    expect_rejected(packet_of(protocol::Welcome{}), Refusal::bad_request);
}

TEST_F(SessionsTest, AClientOfAnotherVersionLearnsThatAlsoWhenItsHelloHasAnotherLength) {
    protocol::Hello hello = good_hello();
    hello.version = protocol::version + 1;
    hello.fingerprint = 0;  // the version is what is told, it comes first
    expect_rejected(packet_of(hello), Refusal::layout_differs);
    protocol::Packet longer = packet_of(hello);
    longer.size += 64;
    expect_rejected(longer, Refusal::layout_differs);
}

TEST_F(SessionsTest, AnotherLayoutIsRefusedWithBothFingerprints) {
    protocol::Hello hello = good_hello();
    hello.fingerprint = 0x1234;
    hello.start_time = 0;  // wrong too: the layout comes first
    Fd client;
    const ConnectionId id = connect(client);
    sessions_->received(id, packet_of(hello), false);
    const protocol::Refused refused = refusal(client);
    EXPECT_EQ(refused.code, Refusal::layout_differs);
    const std::string sentence = refused.sentence;
    char own[17];
    std::snprintf(own, sizeof(own), "%016lx", static_cast<unsigned long>(layout_fingerprint()));
    EXPECT_NE(sentence.find(own), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("0000000000001234"), std::string::npos) << sentence;
}

TEST_F(SessionsTest, AnotherUserIsNotPermittedAndRootIs) {
    rules_.own_uid = ::getuid() + 1;
    make();
    Fd client;
    const ConnectionId id = connect(client);
    sessions_->received(id, packet_of(good_hello()), false);
    if (::getuid() == 0) {
        EXPECT_EQ(sessions_->state(id), ConnectionState::attached);
    } else {
        EXPECT_EQ(refusal(client).code, Refusal::not_permitted);
        EXPECT_EQ(sessions_->state(id), ConnectionState::over);
    }
}

TEST_F(SessionsTest, AProcessThatDidNotConnectItselfIsRefused) {
    protocol::Hello hello = good_hello();
    hello.start_time += 1;
    expect_rejected(packet_of(hello), Refusal::not_permitted);
}

TEST_F(SessionsTest, ARefusedSessionEndsTheConnectionWithTheReason) {
    memory_.refuse_sessions = true;
    expect_rejected(packet_of(good_hello()), Refusal::limit_reached);
}

TEST_F(SessionsTest, TooManyConnectionsAreToldSoAndClosed) {
    std::array<Fd, 4> clients;
    for (Fd& client : clients) connect(client);
    const std::size_t before = open_descriptors();
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    Fd client(ends[0]);
    EXPECT_FALSE(sessions_->admit(Fd(ends[1])));
    EXPECT_EQ(refusal(client).code, Refusal::limit_reached);
    client.reset();
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(SessionsTest, AConnectionThatStaysSilentIsEnded) {
    Fd silent;
    Fd attached;
    const ConnectionId silent_id = connect(silent);
    const ConnectionId attached_id = attach(attached);
    clock_.advance_ns(rules_.greeting_ns - 1);
    sessions_->expire_greetings();
    EXPECT_EQ(sessions_->state(silent_id), ConnectionState::greeting);
    clock_.advance_ns(1);
    sessions_->expire_greetings();
    EXPECT_EQ(sessions_->state(silent_id), ConnectionState::over);
    EXPECT_EQ(sessions_->state(attached_id), ConnectionState::attached);
}

TEST_F(SessionsTest, RequestsAreAnsweredWithTheirNumberAndDescriptors) {
    Fd client;
    const ConnectionId id = attach(client);
    protocol::OpenProducer open{};
    protocol::copy_text(open.destination, "queue://orders");
    sessions_->received(id, packet_of(open, 9), false);
    const protocol::Packet packet = answer(client);
    protocol::ProducerOpened opened{};
    ASSERT_TRUE(packet.read(opened));
    EXPECT_EQ(opened.header.request, 9u);
    EXPECT_EQ(opened.lane, 7u);
    EXPECT_EQ(packet.fds.size(), 2u);
    EXPECT_TRUE(memory_.was_called("producer 0 queue://orders"));
    sessions_->received(id, packet_of(protocol::OpenConsumer{}), false);
    EXPECT_EQ(answer(client).fds.size(), 1u);  // the block
    sessions_->received(id, packet_of(protocol::CloseProducer{}), false);
    EXPECT_EQ(answer(client).header()->kind, protocol::Kind::done);
    sessions_->received(id, packet_of(protocol::Settle{}), false);
    EXPECT_EQ(answer(client).header()->kind, protocol::Kind::done);
}

TEST_F(SessionsTest, ARefusedRequestLeavesTheSessionAlive) {
    Fd client;
    const ConnectionId id = attach(client);
    sessions_->received(id, packet_of(protocol::OpenProducer{}), false);  // an empty name
    EXPECT_EQ(refusal(client).code, Refusal::bad_name);
    sessions_->received(id, packet_of(protocol::CloseConsumer{}), false);
    EXPECT_EQ(refusal(client).code, Refusal::not_found);
    EXPECT_EQ(sessions_->state(id), ConnectionState::attached);
}

TEST_F(SessionsTest, ANameWithoutAnEndIsCutAtItsField) {
    Fd client;
    const ConnectionId id = attach(client);
    protocol::OpenProducer open{};
    std::fill(std::begin(open.destination), std::end(open.destination), 'a');
    sessions_->received(id, packet_of(open), false);
    EXPECT_TRUE(memory_.was_called("producer 0 " + std::string(name_bytes - 1, 'a')));
}

TEST_F(SessionsTest, NonsenseSuspendsItsSessionAndHarmsNobodyElse) {
    Fd good;
    const ConnectionId good_id = attach(good);
    const std::array<std::function<protocol::Packet()>, 4> nonsense{
        [] { return packet_of(good_hello()); },  // a second hello
        [] { return packet_of(protocol::Done{}); },
        [] {
            auto packet = packet_of(protocol::Settle{});
            packet.size += 1;
            return packet;
        },
        [] { return protocol::Packet{}; },
    };
    for (const auto& make_packet : nonsense) {
        Fd client;
        const ConnectionId id = attach(client);
        sessions_->received(id, make_packet(), false);
        EXPECT_EQ(refusal(client).code, Refusal::bad_request);
        // This process lives and may still write where it has mapped: nothing is freed.
        EXPECT_EQ(sessions_->state(id), ConnectionState::orphaned);
        sessions_->died(id);
        sessions_->forget(id);
    }
    EXPECT_EQ(sessions_->state(good_id), ConnectionState::attached);
    EXPECT_FALSE(memory_.was_called("died 0"));
    EXPECT_FALSE(memory_.was_called("ended twice"));
}

TEST_F(SessionsTest, APeerThatDoesNotReadItsAnswersIsEnded) {
    Fd client;
    const ConnectionId id = attach(client);
    int requests = 0;
    while (sessions_->state(id) == ConnectionState::attached && requests < 100'000) {
        sessions_->received(id, packet_of(protocol::Settle{}), false);
        ++requests;
    }
    EXPECT_EQ(sessions_->state(id), ConnectionState::orphaned);
    EXPECT_TRUE(memory_.was_called("suspend 0"));
}

TEST_F(SessionsTest, ByeEndsTheSessionOnceAndIsAnswered) {
    Fd client;
    const ConnectionId id = attach(client);
    sessions_->received(id, packet_of(protocol::Bye{}), false);
    EXPECT_EQ(answer(client).header()->kind, protocol::Kind::done);
    EXPECT_EQ(sessions_->state(id), ConnectionState::over);
    EXPECT_TRUE(memory_.was_called("left 0"));
    sessions_->hung_up(id);
    sessions_->died(id);
    sessions_->received(id, packet_of(protocol::Settle{}), false);
    EXPECT_FALSE(memory_.was_called("ended twice"));
    EXPECT_FALSE(memory_.was_called("settle"));
    EXPECT_EQ(sessions_->living(), 0u);
}

TEST_F(SessionsTest, ASocketThatClosesSuspendsUntilTheProcessIsDead) {
    ChildPeer child;
    const ConnectionId id = attach_child(child);
    child.close_socket();
    sessions_->hung_up(id);
    EXPECT_EQ(sessions_->state(id), ConnectionState::orphaned);
    EXPECT_EQ(memory_.calls.back(), "suspend 0");
    sessions_->handle_deaths();  // it lives
    EXPECT_EQ(sessions_->state(id), ConnectionState::orphaned);
    child.kill();
    sessions_->handle_deaths();
    EXPECT_EQ(sessions_->state(id), ConnectionState::over);
    EXPECT_EQ(memory_.calls.back(), "died 0");
}

TEST_F(SessionsTest, ADeathThatIsProvenWhenTheSocketClosesEndsAtOnce) {
    ChildPeer child;
    const ConnectionId id = attach_child(child);
    EXPECT_EQ(memory_.last_evidence.pid, static_cast<std::uint32_t>(child.pid()));
    child.kill();
    sessions_->hung_up(id);
    EXPECT_EQ(sessions_->state(id), ConnectionState::over);
    EXPECT_FALSE(memory_.was_called("suspend 0"));
    EXPECT_TRUE(memory_.was_called("died 0"));
}

TEST_F(SessionsTest, ADeathEndsTheSessionAlsoWhileSomebodyHoldsItsSocketOpen) {
    ChildPeer child;
    const ConnectionId id = attach_child(child);
    // The socket stays open here as it would in a forked child: nothing is reported but the death.
    child.kill();
    sessions_->died(id);
    EXPECT_EQ(sessions_->state(id), ConnectionState::over);
    EXPECT_TRUE(memory_.was_called("died 0"));
}

TEST_F(SessionsTest, DeathsAreHandledBeforeAProducerOpensOldestFirst) {
    ChildPeer first;
    ChildPeer second;
    attach_child(first);
    attach_child(second);
    Fd client;
    const ConnectionId id = attach(client);
    second.kill();
    first.kill();
    protocol::OpenProducer open{};
    protocol::copy_text(open.destination, "queue://orders");
    sessions_->received(id, packet_of(open), false);
    const std::vector<std::string> last(memory_.calls.end() - 3, memory_.calls.end());
    EXPECT_EQ(last, (std::vector<std::string>{"died 0", "died 1", "producer 2 queue://orders"}));
}

TEST_F(SessionsTest, TheEarliestStopCountsAndAllWhoAskedAreAnswered) {
    std::array<Fd, 3> clients;
    std::array<ConnectionId, 3> ids{attach(clients[0]), attach(clients[1]), attach(clients[2])};
    EXPECT_FALSE(sessions_->stop_deadline_ns());
    protocol::Stop stop{};
    stop.drain_ns = UINT64_MAX;
    sessions_->received(ids[0], packet_of(stop), false);
    EXPECT_EQ(sessions_->stop_deadline_ns(), UINT64_MAX);
    stop.drain_ns = 5;
    sessions_->received(ids[1], packet_of(stop), false);
    EXPECT_EQ(sessions_->stop_deadline_ns(), clock_.now_ns() + 5);
    sessions_->answer_stops(3, 30);
    for (std::size_t asked : {0u, 1u}) {
        protocol::Stopped stopped{};
        ASSERT_TRUE(answer(clients[asked]).read(stopped));
        EXPECT_EQ(stopped.discarded_messages, 3u);
    }
    auto nothing = protocol::receive_packet(clients[2].get(), 0);
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error(), protocol::ChannelError::timed_out);
}

}  // namespace
}  // namespace weir::broker
