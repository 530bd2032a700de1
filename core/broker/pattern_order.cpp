// SPDX-License-Identifier: Apache-2.0
#include "core/broker/pattern_order.hpp"

#include <algorithm>

namespace weir::broker {
namespace {

constexpr std::size_t scheme_length = 8;  // "queue://" and "topic://"

// No word of a name or pattern may be written so (names.cpp), so no pattern names it.
constexpr std::string_view unnamed_word = "+";

// The words of a pattern, one after another.
class Words {
public:
    explicit Words(std::string_view pattern) noexcept
        : rest_(pattern.substr(std::min(scheme_length, pattern.size()))), more_(!rest_.empty()) {}

    bool more() const noexcept { return more_; }
    std::string_view take() noexcept {
        const std::size_t dot = rest_.find('.');
        const std::string_view word = rest_.substr(0, dot);
        more_ = dot != std::string_view::npos;
        rest_.remove_prefix(more_ ? dot + 1 : rest_.size());
        return word;
    }

private:
    std::string_view rest_;
    bool more_;
};

int rank_of(std::string_view word) noexcept {
    if (word == ">") return 0;
    return word == "*" ? 1 : 2;
}

void append(std::string& pattern, std::string_view word) {
    if (pattern.size() > scheme_length) pattern += '.';
    pattern += word;
}

}  // namespace

bool more_specific(std::string_view one, std::string_view other) noexcept {
    Words left(one);
    Words right(other);
    while (left.more() && right.more()) {
        const int difference = rank_of(left.take()) - rank_of(right.take());
        if (difference != 0) return difference > 0;
    }
    return false;
}

bool is_exact(std::string_view pattern) noexcept {
    return pattern.find_first_of("*>") == std::string_view::npos;
}

std::size_t words_in(std::string_view pattern) noexcept {
    return static_cast<std::size_t>(std::count(pattern.begin(), pattern.end(), '.')) + 1;
}

// Cases, word by word:
//   the rest of either is `>`       the rest of the other is left, if it has one
//   both have the same word         that word
//   one has `*`                     the word of the other
//   two literals                    they do not meet
std::optional<std::string> meeting_of(std::string_view one, std::string_view other) {
    if (one.substr(0, scheme_length) != other.substr(0, scheme_length)) return std::nullopt;
    std::string meeting(one.substr(0, scheme_length));
    Words left(one);
    Words right(other);
    while (left.more() && right.more()) {
        const std::string_view mine = left.take();
        const std::string_view theirs = right.take();
        if (mine == ">" || theirs == ">") {
            Words& rest = mine == ">" ? right : left;
            append(meeting, mine == ">" ? theirs : mine);
            while (rest.more()) append(meeting, rest.take());
            return meeting;
        }
        if (mine != theirs && mine != "*" && theirs != "*") return std::nullopt;
        append(meeting, mine == "*" ? theirs : mine);
    }
    if (left.more() || right.more()) return std::nullopt;
    return meeting;
}

std::vector<std::string> examples_of(std::string_view pattern, std::size_t words_max) {
    std::string name(pattern.substr(0, scheme_length));
    std::size_t count = 0;
    for (Words words(pattern); words.more();) {
        const std::string_view word = words.take();
        ++count;
        append(name, rank_of(word) == 2 ? word : unnamed_word);
    }
    std::vector<std::string> examples{name};
    if (!pattern.ends_with('>')) return examples;
    for (; count < words_max; ++count) {
        append(name, unnamed_word);
        examples.push_back(name);
    }
    return examples;
}

}  // namespace weir::broker
