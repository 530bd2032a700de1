// SPDX-License-Identifier: Apache-2.0
//
// What a message is filled with, and what reading every byte of it means.
//
// A benchmark whose consumer looks only at a header measures how fast addresses travel. Here the
// producer writes every word and the consumer adds every word; Weir and the baselines beside it use
// this same code. The words of a run are 0, 1, 2, ...: message i of w words begins with i * w. So
// the sum of a whole run is known without keeping it (every message came, whole and once), and the
// first word of each message tells its place (in order).
//
// The vectors are of the width that every x86-64 and arm64 has; more would not help, since three
// loads a cycle of 16 bytes are beyond what any two cores exchange.
//
// Sizes are multiples of 8, addresses are aligned to 8.
#ifndef WEIR_BENCH_PROBES_WORDS_HPP
#define WEIR_BENCH_PROBES_WORDS_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace weir::bench {

namespace detail {

using Pair = std::uint64_t __attribute__((vector_size(16)));

inline Pair load_pair(const std::byte* from) noexcept {
    Pair pair;
    std::memcpy(&pair, from, sizeof pair);
    return pair;
}

inline void store_pair(std::byte* to, Pair pair) noexcept { std::memcpy(to, &pair, sizeof pair); }

}  // namespace detail

// Message bytes as the probes move them: what was asked for, rounded up to whole words.
constexpr std::uint64_t whole_words(std::uint64_t bytes) noexcept {
    return bytes == 0 ? 8 : (bytes + 7) / 8 * 8;
}

// Writes first, first + 1, ... over all of `bytes`.
inline void fill_words(std::span<std::byte> bytes, std::uint64_t first) noexcept {
    constexpr std::size_t stride = 4 * sizeof(detail::Pair);
    std::byte* at = bytes.data();
    std::byte* end = at + bytes.size();
    detail::Pair pair{first, first + 1};
    for (; static_cast<std::size_t>(end - at) >= stride; at += stride) {
        detail::store_pair(at, pair);
        detail::store_pair(at + 16, pair + 2);
        detail::store_pair(at + 32, pair + 4);
        detail::store_pair(at + 48, pair + 6);
        pair += 8;
    }
    for (std::uint64_t word = pair[0]; at != end; at += sizeof word, ++word) {
        std::memcpy(at, &word, sizeof word);
    }
}

// Adds all words, modulo 2^64.
inline std::uint64_t sum_words(std::span<const std::byte> bytes) noexcept {
    constexpr std::size_t stride = 4 * sizeof(detail::Pair);
    const std::byte* at = bytes.data();
    const std::byte* end = at + bytes.size();
    detail::Pair a{};
    detail::Pair b{};
    detail::Pair c{};
    detail::Pair d{};
    for (; static_cast<std::size_t>(end - at) >= stride; at += stride) {
        a += detail::load_pair(at);
        b += detail::load_pair(at + 16);
        c += detail::load_pair(at + 32);
        d += detail::load_pair(at + 48);
    }
    a += b + c + d;
    std::uint64_t sum = a[0] + a[1];
    for (std::uint64_t word = 0; at != end; at += sizeof word) {
        std::memcpy(&word, at, sizeof word);
        sum += word;
    }
    return sum;
}

inline std::uint64_t first_word(std::span<const std::byte> bytes) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
}

// The sum of the words 0 ... count - 1, modulo 2^64.
constexpr std::uint64_t sum_of_run(std::uint64_t word_count) noexcept {
    // One of the two factors is even, and it is halved before the product can wrap.
    if (word_count == 0) return 0;
    std::uint64_t last = word_count - 1;
    return word_count % 2 == 0 ? word_count / 2 * last : last / 2 * word_count;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_WORDS_HPP
