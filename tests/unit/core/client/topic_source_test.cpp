// SPDX-License-Identifier: Apache-2.0
//
// A consumer of a topic and its cursors, over bytes laid out by hand.
#include "core/client/topic_source.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/client_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using test::ClientStage;
using test::drain;
using test::mebibyte;

TEST(Topic, BeginsWhereItSubscribed) {
    ClientStage stage("topic://t", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(producer.send("before"));
    auto consumer = stage.consumer(session);
    ASSERT_TRUE(producer.send("after"));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"after"});
}

TEST(Topic, MovesItsCursorOnlyBehindWhatIsAcknowledged) {
    ClientStage stage("topic://t", 2, mebibyte);
    const auto session = stage.connect();
    auto first = stage.producer(session);
    auto second = stage.producer(session);
    auto consumer = stage.consumer(session, {.acknowledge = Acknowledge::cumulative});
    for (int i = 0; i < 600; ++i) {
        ASSERT_TRUE(first.send("a"));
        ASSERT_TRUE(second.send("b"));
    }
    const Position begin = position_first + page_header_bytes;
    std::vector<Message> messages;
    while (auto message = consumer.poll()) messages.push_back(*message);
    ASSERT_EQ(messages.size(), 1200u);
    EXPECT_EQ(exclusive_position(stage.piece().place_of(0)->cursor.load()), begin);
    EXPECT_EQ(exclusive_position(stage.piece().place_of(1)->cursor.load()), begin);
    std::map<char, std::uint64_t> seen;
    for (int i = 0; i < 700; ++i) ++seen[messages[static_cast<std::size_t>(i)].text()[0]];
    messages[699].acknowledge();
    EXPECT_EQ(exclusive_position(stage.piece().place_of(0)->cursor.load()), begin + seen['a'] * 16);
    EXPECT_EQ(exclusive_position(stage.piece().place_of(1)->cursor.load()), begin + seen['b'] * 16);
    consumer.acknowledge();
    EXPECT_EQ(exclusive_position(stage.piece().place_of(0)->cursor.load()), begin + 600 * 16);
    EXPECT_EQ(exclusive_position(stage.piece().place_of(1)->cursor.load()), begin + 600 * 16);
}

}  // namespace
}  // namespace weir
