// SPDX-License-Identifier: Apache-2.0
//
// The envelope: what may travel between a record's commit word and its payload.
//
// It is a row of fields. Each starts at a multiple of 8 and is padded to one; the area's length
// stands in the commit word (record.hpp), so nothing in it says where it ends.
//
//      0       2       4              8                8+k          8+l      8+round8(l)
//      +-------+-------+--------------+----------------+------------+---------+
//      | tag   | k     | l            | key (k bytes,  | value      | zeros   |  next field
//      |       |       | key + value  | properties     | (l - k     |         |
//      |       |       |              | only)          | bytes)     |         |
//      +-------+-------+--------------+----------------+------------+---------+
//
// Times are 8 bytes of nanoseconds since the epoch. A tag that a reader does not know is passed
// over, so fields can be added. What a producer wrote is input: a reader copies the area first and
// checks each length against what is left of the copy.
//
//   E1  the expiry is the first field, so that a receiver finds out whether it has come by looking
//       at 16 bytes; an expiry that stands elsewhere is not obeyed
//   E2  a field that does not fit what is left ends the envelope: it and all behind it are left out
#ifndef WEIR_SHM_ENVELOPE_HPP
#define WEIR_SHM_ENVELOPE_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "shm/record.hpp"

namespace weir {

enum class FieldTag : std::uint16_t {
    expiry = 1,
    timestamp = 2,
    correlation_id = 3,
    reply_to = 4,
    content_type = 5,
    property = 6,
};

struct FieldHead {
    std::uint16_t tag;
    std::uint16_t key_bytes;
    std::uint32_t bytes;  // key and value
};
static_assert(sizeof(FieldHead) == 8);

inline constexpr std::uint64_t envelope_bytes_max = envelope_words_max * 8;
inline constexpr std::uint64_t field_key_bytes_max = 0xffff;

constexpr std::uint64_t field_bytes(std::uint64_t key, std::uint64_t value) noexcept {
    return sizeof(FieldHead) + round_up(key + value, 8);
}
static_assert(field_bytes(0, 8) == 16);

// Writes fields one behind the other into an area that was measured with `field_bytes`.
class EnvelopeWriter {
public:
    explicit EnvelopeWriter(std::byte* area) noexcept : at_(area) {}

    void put(FieldTag tag, std::string_view key, std::string_view value) noexcept;
    void put(FieldTag tag, std::uint64_t time_ns) noexcept;

private:
    std::byte* at_;
};

struct EnvelopeField {
    FieldTag tag{};
    std::string_view key;
    std::string_view value;
};

// Reads the fields of an area. The area must be private memory: lengths are checked once and then
// used.
class EnvelopeReader {
public:
    explicit EnvelopeReader(std::span<const std::byte> copy) noexcept : rest_(copy) {}

    // The next field, or nothing at the end or where the rest makes no sense (`damaged`).
    std::optional<EnvelopeField> next() noexcept;
    bool damaged() const noexcept { return damaged_; }

private:
    std::span<const std::byte> rest_;
    bool damaged_ = false;
};

// The time in a value of 8 bytes; nothing if it has another length.
std::optional<std::uint64_t> field_time_ns(std::string_view value) noexcept;

// When a message expires, from the shared bytes of its envelope; nothing if never (E1).
std::optional<std::uint64_t> expiry_of(const std::byte* area, std::uint64_t bytes) noexcept;

}  // namespace weir

#endif
