// SPDX-License-Identifier: Apache-2.0
//
// A record: one message in a page.
//
//      0        8                         8+8e                 8+8e+round8(n)
//      +--------+-------------------------+--------------------+
//      | commit | envelope (8e bytes, may | payload (n bytes,  |  next commit word
//      | word   | be none)                | padded to 8)       |
//      +--------+-------------------------+--------------------+
//
//   commit word    63      56 55    48 47             32 31                      0
//                  +---------+--------+-----------------+------------------------+
//                  |  mark   |  kind  | envelope, words | payload, bytes         |
//                  +---------+--------+-----------------+------------------------+
//
// Zero means "not yet": nothing behind this word may be read. A commit word is written by another
// process, so it is input: it is loaded once and `record_fits` decides before anything follows it.
//
//   R1  a record lies in one page and starts at a multiple of 8
//   R2  the word behind the last claimed record is zero before that record is published
//   R3  a message without an envelope costs 8 bytes more than its payload rounded up to 8
#ifndef WEIR_SHM_RECORD_HPP
#define WEIR_SHM_RECORD_HPP

#include "shm/units.hpp"

namespace weir {

enum class RecordKind : std::uint8_t {
    message = 1,  // payload, perhaps an envelope
    skip = 2,     // abandoned bytes: `payload` is how many bytes behind the word are passed over
    end = 3,      // nothing more in this page: the lane goes on in the next one
};

inline constexpr std::uint64_t commit_mark = 0x57;  // 'W'
inline constexpr std::uint64_t payload_bytes_max = 0xffffffffu;
inline constexpr std::uint64_t envelope_words_max = 0xffff;

constexpr std::uint64_t commit_word(RecordKind kind, std::uint64_t envelope_words,
                                    std::uint64_t payload) noexcept {
    return (commit_mark << 56) | (static_cast<std::uint64_t>(kind) << 48) | (envelope_words << 32) |
           payload;
}

constexpr std::uint64_t commit_payload(std::uint64_t word) noexcept { return word & 0xffffffffu; }
constexpr std::uint64_t commit_envelope_words(std::uint64_t word) noexcept {
    return (word >> 32) & 0xffff;
}

// True for exactly one mark and kind, in one comparison: what the hot path asks.
constexpr bool is_message(std::uint64_t word) noexcept {
    return (word >> 48) == ((commit_mark << 8) | static_cast<std::uint64_t>(RecordKind::message));
}
constexpr bool is_skip(std::uint64_t word) noexcept {
    return (word >> 48) == ((commit_mark << 8) | static_cast<std::uint64_t>(RecordKind::skip));
}
constexpr bool is_end(std::uint64_t word) noexcept {
    return (word >> 48) == ((commit_mark << 8) | static_cast<std::uint64_t>(RecordKind::end));
}

// Bytes a record takes in its page, commit word included.
constexpr std::uint64_t record_bytes(std::uint64_t envelope_words, std::uint64_t payload) noexcept {
    return commit_word_bytes + envelope_words * 8 + round_up(payload, 8);
}
constexpr std::uint64_t record_bytes_of(std::uint64_t word) noexcept {
    return record_bytes(commit_envelope_words(word), commit_payload(word));
}

// Decides whether a word loaded from shared memory may be followed: `room` is what is left of its
// page.
constexpr bool record_fits(std::uint64_t word, std::uint64_t room) noexcept {
    return (is_message(word) || is_skip(word)) && record_bytes_of(word) <= room;
}

// Smallest page that holds one record of this size.
constexpr std::uint64_t page_bytes_for(std::uint64_t record) noexcept {
    return round_up(page_header_bytes + record, page_unit);
}

static_assert(record_bytes(0, 0) == 8 && record_bytes(0, 1) == 16 && record_bytes(0, 64) == 72);
static_assert(record_bytes(envelope_words_max, payload_bytes_max) < Position{1} << 33);
static_assert(!is_message(0) && !is_skip(0) && !is_end(0));

}  // namespace weir

#endif
