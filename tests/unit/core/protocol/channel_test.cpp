// SPDX-License-Identifier: Apache-2.0
//
// The channel over a real socket pair: descriptors, garbage, peers that do not read or are gone.
#include "core/protocol/channel.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "core/base/clock.hpp"

namespace weir::protocol {
namespace {

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

class ChannelTest : public testing::Test {
protected:
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        here_.reset(ends[0]);
        there_.reset(ends[1]);
    }

    Result<Packet, ChannelError> receive() {
        return receive_packet(there_.get(), monotonic_ns() + 5 * ns_per_s);
    }

    Fd here_;
    Fd there_;
};

TEST_F(ChannelTest, AMessageArrivesWithItsRequestNumber) {
    OpenProducer sent{};
    copy_text(sent.destination, "queue://orders");
    ASSERT_TRUE(send_message(here_.get(), sent, 42));
    auto packet = receive();
    ASSERT_TRUE(packet);
    ASSERT_NE(packet->header(), nullptr);
    EXPECT_EQ(packet->header()->kind, Kind::open_producer);
    OpenProducer read{};
    ASSERT_TRUE(packet->read(read));
    EXPECT_EQ(read.header.request, 42u);
    EXPECT_EQ(read_text(read.destination), "queue://orders");
    OpenConsumer other{};
    EXPECT_FALSE(packet->read(other));
}

TEST_F(ChannelTest, DescriptorsTravelBesideAMessage) {
    Fd event(::eventfd(7, EFD_CLOEXEC));
    const int fds[] = {event.get(), here_.get()};
    ASSERT_TRUE(send_message(here_.get(), Welcome{}, 1, fds));
    auto packet = receive();
    ASSERT_TRUE(packet);
    ASSERT_EQ(packet->fds.size(), 2u);
    std::uint64_t value = 0;
    ASSERT_EQ(::read(packet->fds[0].get(), &value, sizeof(value)), 8);
    EXPECT_EQ(value, 7u);
}

TEST_F(ChannelTest, MoreDescriptorsThanAllowedAreGarbageAndLeakNothing) {
    const std::size_t before = open_descriptors();
    // Seven, sent without the channel's own check.
    int fds[7];
    std::fill(std::begin(fds), std::end(fds), here_.get());
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(fds))] = {};
    char byte = 'x';
    iovec piece{&byte, 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(fds));
    std::memcpy(CMSG_DATA(part), fds, sizeof(fds));
    ASSERT_EQ(::sendmsg(here_.get(), &message, 0), 1);
    auto packet = receive();
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), ChannelError::garbage);
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ChannelTest, APacketThatIsTooLongIsGarbage) {
    const std::array<std::byte, packet_bytes_max + 1> bytes{};
    ASSERT_EQ(::send(here_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    auto packet = receive();
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), ChannelError::garbage);
}

TEST_F(ChannelTest, GarbageHasNoHeaderAndIsNoMessage) {
    for (const std::size_t length : {std::size_t{1}, sizeof(Header) - 1, sizeof(Hello)}) {
        const std::array<std::byte, sizeof(Hello)> bytes{};
        ASSERT_TRUE(send_packet(here_.get(), std::span(bytes).first(length), {}));
        auto packet = receive();
        ASSERT_TRUE(packet) << length;
        EXPECT_EQ(packet->header(), nullptr) << length;
        Hello hello{};
        EXPECT_FALSE(packet->read(hello)) << length;
    }
}

TEST_F(ChannelTest, AMessageOneByteShortIsNotRead) {
    Hello hello{};
    hello.header = {packet_magic, Kind::hello, 1};
    const auto bytes = std::as_bytes(std::span(&hello, 1));
    ASSERT_TRUE(send_packet(here_.get(), bytes.first(bytes.size() - 1), {}));
    auto packet = receive();
    ASSERT_TRUE(packet);
    EXPECT_NE(packet->header(), nullptr);
    EXPECT_FALSE(packet->read(hello));
}

TEST_F(ChannelTest, APeerThatDoesNotReadMakesSendingFailAndNeverWaits) {
    Result<void, ChannelError> sent;
    int count = 0;
    while (sent && count < 100'000) {
        sent = send_message(here_.get(), protocol::Refused{}, 1);
        ++count;
    }
    ASSERT_FALSE(sent) << "nothing bounds what a peer that does not read can pile up";
    EXPECT_EQ(sent.error(), ChannelError::full);
}

TEST_F(ChannelTest, APeerThatIsGoneIsClosedForBothDirections) {
    there_.reset();
    auto sent = send_message(here_.get(), Bye{}, 1);  // a SIGPIPE would end the test
    ASSERT_FALSE(sent);
    EXPECT_EQ(sent.error(), ChannelError::closed);
    auto packet = receive_packet(here_.get(), monotonic_ns() + ns_per_s);
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), ChannelError::closed);
}

TEST_F(ChannelTest, ReceivingEndsAtItsDeadline) {
    const std::uint64_t start = monotonic_ns();
    auto packet = receive_packet(here_.get(), start + 20 * ns_per_ms);
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), ChannelError::timed_out);
    EXPECT_GE(monotonic_ns() - start, 20 * ns_per_ms);
}

TEST(Texts, ATextIsCutToItsFieldAndEndsInsideIt) {
    std::array<char, 4> field;
    field.fill('?');
    copy_text(field, "abcdef");
    EXPECT_EQ(read_text(field), "abc");
    copy_text(field, "a");
    EXPECT_EQ(field, (std::array<char, 4>{'a'}));
    field.fill('x');  // a field that another process filled without a zero
    EXPECT_EQ(read_text(field), "xxx");
}

}  // namespace
}  // namespace weir::protocol
