// SPDX-License-Identifier: Apache-2.0
#include "shm/envelope.hpp"

#include <cstring>

namespace weir {
namespace {

constexpr std::size_t time_bytes = sizeof(std::uint64_t);

std::string_view as_text(std::span<const std::byte> bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};  // NOLINT: bytes as text
}

}  // namespace

void EnvelopeWriter::put(FieldTag tag, std::string_view key, std::string_view value) noexcept {
    const std::uint64_t length = key.size() + value.size();
    const FieldHead head{static_cast<std::uint16_t>(tag), static_cast<std::uint16_t>(key.size()),
                         static_cast<std::uint32_t>(length)};
    const std::uint64_t whole = field_bytes(key.size(), value.size());
    // The padding lies in the last word, which the value may fill in part: zeros first.
    std::memset(at_ + whole - 8, 0, 8);
    std::memcpy(at_, &head, sizeof head);
    if (!key.empty()) std::memcpy(at_ + sizeof head, key.data(), key.size());
    if (!value.empty()) std::memcpy(at_ + sizeof head + key.size(), value.data(), value.size());
    at_ += whole;
}

void EnvelopeWriter::put(FieldTag tag, std::uint64_t time_ns) noexcept {
    char value[time_bytes];
    std::memcpy(value, &time_ns, time_bytes);
    put(tag, {}, {value, time_bytes});
}

std::optional<EnvelopeField> EnvelopeReader::next() noexcept {
    if (rest_.empty()) return std::nullopt;
    FieldHead head{};
    damaged_ = true;  // until everything has been checked
    if (rest_.size() < sizeof head) return std::nullopt;
    std::memcpy(&head, rest_.data(), sizeof head);
    const std::size_t behind_head = rest_.size() - sizeof head;
    if (head.bytes > behind_head || head.key_bytes > head.bytes) return std::nullopt;
    damaged_ = false;
    const auto content = rest_.subspan(sizeof head, head.bytes);
    const std::uint64_t padded = round_up(head.bytes, 8);
    rest_ = rest_.subspan(sizeof head + (padded < behind_head ? padded : behind_head));
    return EnvelopeField{static_cast<FieldTag>(head.tag), as_text(content.first(head.key_bytes)),
                         as_text(content.subspan(head.key_bytes))};
}

std::optional<std::uint64_t> field_time_ns(std::string_view value) noexcept {
    if (value.size() != time_bytes) return std::nullopt;
    std::uint64_t time_ns = 0;
    std::memcpy(&time_ns, value.data(), time_bytes);
    return time_ns;
}

std::optional<std::uint64_t> expiry_of(const std::byte* area, std::uint64_t bytes) noexcept {
    std::byte copy[sizeof(FieldHead) + time_bytes];
    if (bytes < sizeof copy) return std::nullopt;
    std::memcpy(copy, area, sizeof copy);
    EnvelopeReader reader(copy);
    const auto field = reader.next();
    if (!field || field->tag != FieldTag::expiry) return std::nullopt;
    return field_time_ns(field->value);
}

}  // namespace weir
