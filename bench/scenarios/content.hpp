// SPDX-License-Identifier: Apache-2.0
//
// What the messages of a leg hold, and the check that all of them came, whole, once and in order.
//
// Small messages differ: their words count on from message to message (probes/words.hpp). From 1
// KiB on each is the same private block, copied, which is what the raw copy stream beside it does;
// there the sum tells that every message came whole, and their number that each came once.
#ifndef WEIR_BENCH_SCENARIOS_CONTENT_HPP
#define WEIR_BENCH_SCENARIOS_CONTENT_HPP

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/probes/probe_error.hpp"
#include "bench/probes/words.hpp"

namespace weir::bench {

inline constexpr std::uint64_t same_block_from = 1024;

// The first word of message `index`: its words count on from there.
constexpr std::uint64_t first_word_of(std::uint64_t index, std::uint64_t bytes) noexcept {
    return bytes < same_block_from ? index * (bytes / 8) : 1;
}

// A message in private memory, written anew for each index if it is small.
class Content {
public:
    explicit Content(std::uint64_t bytes) : bytes_(whole_words(bytes)) { fill_words(bytes_, 1); }

    std::span<const std::byte> of(std::uint64_t index) noexcept {
        if (bytes_.size() < same_block_from)
            fill_words(bytes_, first_word_of(index, bytes_.size()));
        return bytes_;
    }
    // A message whose words count on from `first`, whatever its size.
    std::span<const std::byte> from(std::uint64_t first) noexcept {
        fill_words(bytes_, first);
        return bytes_;
    }

private:
    std::vector<std::byte> bytes_;
};

// Reads every byte of the messages from number `first` on.
class Reader {
public:
    Reader(std::uint64_t bytes, std::uint64_t first)
        : bytes_(whole_words(bytes)), first_(first), next_(first) {}

    // False: it is not the message that had to come.
    bool take(std::span<const std::byte> message) noexcept {
        if (message.size() != bytes_) [[unlikely]]
            return false;
        if (first_word(message) != first_word_of(next_, bytes_)) [[unlikely]]
            return false;
        sum_ += sum_words(message);
        ++next_;
        return true;
    }

    Probed<void> verdict() const {
        if (sum_ == wanted_sum()) return {};
        return fail(ProbeFault::corrupted, "the sum of all words is wrong");
    }
    Failure<ProbeError> wrong() const {
        return fail(ProbeFault::corrupted, "message " + std::to_string(next_) + " is another one");
    }

private:
    std::uint64_t wanted_sum() const noexcept {
        const std::uint64_t words = bytes_ / 8;
        if (bytes_ < same_block_from) return sum_of_run(next_ * words) - sum_of_run(first_ * words);
        return (next_ - first_) * (sum_of_run(1 + words) - sum_of_run(1));
    }

    std::uint64_t bytes_;
    std::uint64_t first_;
    std::uint64_t next_;
    std::uint64_t sum_ = 0;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_CONTENT_HPP
