// SPDX-License-Identifier: Apache-2.0
//
// The grammar of names: what is accepted, and that each refusal has its own code and quotes safely.
#include "core/protocol/names.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

NameError code_of(std::string_view text) {
    auto parsed = parse_destination(text);
    EXPECT_FALSE(parsed) << text;
    return parsed ? NameError{} : parsed.error().code;
}

std::string of_length(std::size_t length) {
    std::string name = "queue://";
    return name + std::string(length - name.size(), 'a');
}

TEST(Names, ADestinationKeepsItsSchemeAndWords) {
    auto topic = parse_destination("topic://news.eu-west.a_b");
    ASSERT_TRUE(topic) << topic.error().sentence;
    EXPECT_EQ(topic->kind, DestinationKind::topic);
    EXPECT_EQ(topic->full, "topic://news.eu-west.a_b");
    EXPECT_EQ(topic->words(), "news.eu-west.a_b");
    EXPECT_FALSE(topic->pattern);
}

TEST(Names, NoSchemeMeansQueue) {
    auto queue = parse_destination("orders");
    ASSERT_TRUE(queue);
    EXPECT_EQ(queue->kind, DestinationKind::queue);
    EXPECT_EQ(queue->full, "queue://orders");
}

TEST(Names, A255ByteNameIsTheLongest) {
    EXPECT_TRUE(parse_destination(of_length(255)));
    EXPECT_EQ(code_of(of_length(256)), NameError::too_long);
    EXPECT_EQ(code_of(of_length(300)), NameError::too_long);
    // Without a scheme the eight bytes of "queue://" count too.
    EXPECT_TRUE(parse_destination(std::string(247, 'a')));
    EXPECT_EQ(code_of(std::string(248, 'a')), NameError::too_long);
}

TEST(Names, OptionsDoNotCountAsName) {
    auto name = parse_destination(of_length(255) + "?consumer.prefetchSize=10&a=");
    ASSERT_TRUE(name) << name.error().sentence;
    EXPECT_EQ(name->full.size(), 255u);
    EXPECT_EQ(name->options.at("consumer.prefetchSize"), "10");
    EXPECT_EQ(name->options.at("a"), "");
    EXPECT_EQ(code_of("orders?"), NameError::bad_option);
    EXPECT_EQ(code_of("orders?prefetch"), NameError::bad_option);
    EXPECT_EQ(code_of("orders?=1"), NameError::bad_option);
    EXPECT_EQ(code_of("orders?a=1&a=2"), NameError::bad_option);
    EXPECT_EQ(code_of("orders?a=1&"), NameError::bad_option);
}

TEST(Names, EachMistakeHasItsOwnCode) {
    EXPECT_EQ(code_of("jms://orders"), NameError::unknown_scheme);
    EXPECT_EQ(code_of("QUEUE://orders"), NameError::unknown_scheme);
    EXPECT_EQ(code_of("://orders"), NameError::unknown_scheme);
    EXPECT_EQ(code_of(""), NameError::empty);
    EXPECT_EQ(code_of("queue://"), NameError::empty);
    const std::string umlaut{char(0xc3), char(0xa4)};
    for (const std::string& text : {std::string("."), std::string("a..b"), std::string(".a"),
                                    std::string("a."), std::string("a b"), std::string("a/b"),
                                    std::string("queue:a"), std::string("a\n"), umlaut})
        EXPECT_EQ(code_of(text), NameError::bad_word) << text;
    EXPECT_EQ(code_of(std::string(1, 'a') + std::string(1, char(0)) + "b"), NameError::bad_word);
    EXPECT_EQ(code_of("orders.*"), NameError::wildcard);
}

TEST(Names, AWildcardIsAWholeWordAndTheRestStandsLast) {
    for (const char* text : {"topic://*", "topic://>", "topic://a.*.b", "topic://*.>"}) {
        auto pattern = parse_pattern(text);
        ASSERT_TRUE(pattern) << text;
        EXPECT_TRUE(pattern->pattern) << text;
    }
    for (const char* text : {"topic://>.a", "topic://a*", "topic://a.b>", "topic://**"}) {
        auto pattern = parse_pattern(text);
        ASSERT_FALSE(pattern) << text;
        EXPECT_EQ(pattern.error().code, NameError::wildcard) << text;
    }
    EXPECT_FALSE(parse_pattern("topic://a")->pattern);
}

TEST(Names, ASentenceQuotesForeignBytesSafely) {
    const std::string hostile = "a" + std::string(1, char(27)) + "[2J" + std::string(500, 'x');
    auto parsed = parse_destination(hostile);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().sentence.find(char(27)), std::string::npos);
    EXPECT_LT(parsed.error().sentence.size(), 200u);
}

TEST(Names, APatternMeansWhatItsWordsSay) {
    EXPECT_TRUE(matches("topic://a.*", "topic://a.b"));
    EXPECT_FALSE(matches("topic://a.*", "topic://a"));
    EXPECT_FALSE(matches("topic://a.*", "topic://a.b.c"));
    EXPECT_TRUE(matches("topic://a.>", "topic://a.b"));
    EXPECT_TRUE(matches("topic://a.>", "topic://a.b.c"));
    EXPECT_FALSE(matches("topic://a.>", "topic://a"));
    EXPECT_FALSE(matches("topic://a.>", "topic://ab.c"));
    EXPECT_TRUE(matches("topic://>", "topic://a"));
    EXPECT_TRUE(matches("topic://*.b.*", "topic://x.b.y"));
    EXPECT_FALSE(matches("topic://>", "queue://a"));
    EXPECT_TRUE(matches("queue://a.b", "queue://a.b"));
    EXPECT_FALSE(matches("queue://a.b", "queue://a.c"));
    EXPECT_FALSE(matches("", ""));
}

TEST(Names, ABrokersNameIsShortAndPlain) {
    for (const char* name : {"default", "a", "0-9"}) EXPECT_TRUE(valid_broker_name(name)) << name;
    for (const char* name : {"", "A", "a.b", "a/b", "..", "a_b"})
        EXPECT_FALSE(valid_broker_name(name)) << name;
    EXPECT_TRUE(valid_broker_name(std::string(32, 'a')));
    EXPECT_FALSE(valid_broker_name(std::string(33, 'a')));
}

}  // namespace
}  // namespace weir
