// SPDX-License-Identifier: Apache-2.0
//
// The envelope's fields, and what a reader makes of bytes that somebody with ill intent wrote.
#include "shm/envelope.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace weir {
namespace {

std::vector<std::byte> area_of(std::uint64_t bytes) {
    return std::vector<std::byte>(bytes, std::byte{0xee});
}

void set_head(std::vector<std::byte>& area, std::size_t at, FieldHead head) {
    std::memcpy(area.data() + at, &head, sizeof head);
}

TEST(Envelope, GivesBackWhatWasPut) {
    const std::string value(37, 'v');
    auto area = area_of(field_bytes(0, 8) + field_bytes(0, 5) + field_bytes(3, value.size()));
    EnvelopeWriter writer(area.data());
    writer.put(FieldTag::timestamp, 1234567890123456789u);
    writer.put(FieldTag::correlation_id, {}, "abcde");
    writer.put(FieldTag::property, "key", value);

    EnvelopeReader reader(area);
    auto field = reader.next();
    ASSERT_TRUE(field);
    EXPECT_EQ(field->tag, FieldTag::timestamp);
    EXPECT_EQ(field_time_ns(field->value), 1234567890123456789u);
    field = reader.next();
    ASSERT_TRUE(field);
    EXPECT_EQ(field->value, "abcde");
    field = reader.next();
    ASSERT_TRUE(field);
    EXPECT_EQ(field->key, "key");
    EXPECT_EQ(field->value, value);
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.damaged());
}

TEST(Envelope, PadsWithZeros) {
    auto area = area_of(field_bytes(0, 5));
    EnvelopeWriter(area.data()).put(FieldTag::reply_to, {}, "12345");
    EXPECT_EQ(area.size(), 16u);
    for (std::size_t at = 13; at < 16; ++at) EXPECT_EQ(area[at], std::byte{0}) << at;
}

TEST(Envelope, EndsAtAFieldThatIsLongerThanWhatIsLeft) {
    for (const std::uint32_t bytes : {9u, 16u, 0x7fffffffu, 0xfffffff9u, 0xffffffffu}) {
        auto area = area_of(32);
        EnvelopeWriter(area.data()).put(FieldTag::content_type, {}, "12345678");
        set_head(area, 16, {static_cast<std::uint16_t>(FieldTag::reply_to), 0, bytes});
        EnvelopeReader reader(area);
        EXPECT_TRUE(reader.next()) << bytes;
        EXPECT_FALSE(reader.next()) << bytes;
        EXPECT_TRUE(reader.damaged()) << bytes;
    }
}

TEST(Envelope, EndsAtAKeyThatIsLongerThanItsField) {
    auto area = area_of(24);
    set_head(area, 0, {static_cast<std::uint16_t>(FieldTag::property), 9, 8});
    EnvelopeReader reader(area);
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.damaged());
}

TEST(Envelope, EndsAtHalfAHead) {
    auto area = area_of(20);
    EnvelopeWriter(area.data()).put(FieldTag::reply_to, {}, "12345678");
    EnvelopeReader reader(area);
    EXPECT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.damaged());
}

TEST(Envelope, PassesOverTagsItDoesNotKnow) {
    auto area = area_of(field_bytes(0, 4) + field_bytes(0, 2));
    EnvelopeWriter writer(area.data());
    writer.put(static_cast<FieldTag>(999), {}, "next");
    writer.put(FieldTag::reply_to, {}, "me");
    EnvelopeReader reader(area);
    EXPECT_EQ(static_cast<int>(reader.next()->tag), 999);
    EXPECT_EQ(reader.next()->value, "me");
}

TEST(Envelope, ObeysAnExpiryInTheFirstFieldOnly) {
    auto first = area_of(2 * field_bytes(0, 8));
    EnvelopeWriter writer(first.data());
    writer.put(FieldTag::expiry, 77);
    writer.put(FieldTag::timestamp, 5);
    EXPECT_EQ(expiry_of(first.data(), first.size()), 77u);

    auto second = area_of(2 * field_bytes(0, 8));
    EnvelopeWriter other(second.data());
    other.put(FieldTag::timestamp, 5);
    other.put(FieldTag::expiry, 77);
    EXPECT_FALSE(expiry_of(second.data(), second.size()));
    EXPECT_FALSE(expiry_of(second.data(), 8));
}

TEST(Envelope, RefusesATimeOfAnotherLength) {
    auto area = area_of(field_bytes(0, 4));
    EnvelopeWriter(area.data()).put(FieldTag::expiry, {}, "1234");
    EXPECT_FALSE(expiry_of(area.data(), area.size()));
}

// Whatever the bytes are, reading ends, and every text lies inside the area (ASan sees the rest).
TEST(Envelope, ReadsAnyBytesToAnEnd) {
    constexpr std::uint64_t seed = 20260101;
    std::mt19937_64 random(seed);
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::byte> area(random() % 200);
        for (auto& byte : area) byte = static_cast<std::byte>(random() % 4);
        EnvelopeReader reader(area);
        std::size_t fields = 0;
        std::size_t sum = 0;
        while (const auto field = reader.next()) {
            for (const char c : field->value) sum += static_cast<unsigned char>(c);
            for (const char c : field->key) sum += static_cast<unsigned char>(c);
            ++fields;
        }
        ASSERT_LE(fields, area.size() / sizeof(FieldHead)) << "seed " << seed << " round " << round;
        ASSERT_LE(sum, area.size() * 3);
    }
}

}  // namespace
}  // namespace weir
