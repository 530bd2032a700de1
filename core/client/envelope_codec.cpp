// SPDX-License-Identifier: Apache-2.0
#include "core/client/envelope_codec.hpp"

#include "shm/envelope.hpp"

namespace weir {

std::optional<std::string> Envelope::property(const std::string& key) const {
    for (const auto& [name, value] : properties)
        if (name == key) return value;
    return std::nullopt;
}

namespace detail {

std::optional<std::uint64_t> envelope_words(const Envelope& envelope) noexcept {
    std::uint64_t bytes = 0;
    if (envelope.expiry_ns) bytes += field_bytes(0, 8);
    if (envelope.timestamp_ns) bytes += field_bytes(0, 8);
    for (const auto* text : {&envelope.correlation_id, &envelope.reply_to, &envelope.content_type})
        if (!text->empty()) bytes += field_bytes(0, text->size());
    for (const auto& [key, value] : envelope.properties) {
        if (key.size() > field_key_bytes_max) return std::nullopt;
        bytes += field_bytes(key.size(), value.size());
    }
    if (bytes > envelope_bytes_max) return std::nullopt;
    return bytes / 8;
}

void write_envelope(const Envelope& envelope, std::byte* area) noexcept {
    EnvelopeWriter writer(area);
    if (envelope.expiry_ns) writer.put(FieldTag::expiry, *envelope.expiry_ns);  // first: E1
    if (envelope.timestamp_ns) writer.put(FieldTag::timestamp, *envelope.timestamp_ns);
    if (!envelope.correlation_id.empty())
        writer.put(FieldTag::correlation_id, {}, envelope.correlation_id);
    if (!envelope.reply_to.empty()) writer.put(FieldTag::reply_to, {}, envelope.reply_to);
    if (!envelope.content_type.empty())
        writer.put(FieldTag::content_type, {}, envelope.content_type);
    for (const auto& [key, value] : envelope.properties) writer.put(FieldTag::property, key, value);
}

Envelope read_envelope(std::span<const std::byte> copy) {
    Envelope envelope;
    EnvelopeReader reader(copy);
    while (const auto field = reader.next()) {
        switch (field->tag) {
            case FieldTag::expiry: envelope.expiry_ns = field_time_ns(field->value); break;
            case FieldTag::timestamp: envelope.timestamp_ns = field_time_ns(field->value); break;
            case FieldTag::correlation_id: envelope.correlation_id = field->value; break;
            case FieldTag::reply_to: envelope.reply_to = field->value; break;
            case FieldTag::content_type: envelope.content_type = field->value; break;
            case FieldTag::property:
                envelope.properties.emplace_back(field->key, field->value);
                break;
        }
    }
    return envelope;
}

}  // namespace detail
}  // namespace weir
