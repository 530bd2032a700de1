// SPDX-License-Identifier: Apache-2.0
#include "core/broker/counting.hpp"

#include <algorithm>

#include "shm/record.hpp"

namespace weir::broker {
namespace {

struct SealedCounts {
    std::uint64_t messages;
    std::uint64_t payload;
};

// What the header of a sealed page says, if it can be true.
std::optional<SealedCounts> sealed_counts(const PageView& pages, const Page& page) {
    const PageHeader& header = pages.header(page.ref);
    // SYNC(sealed) acquire: the counts below are complete.
    const std::uint64_t sealed = header.sealed.load(std::memory_order_acquire);
    // relaxed: both were written before the page was sealed.
    const Position start = header.start.load(std::memory_order_relaxed);
    const std::uint64_t payload = header.payload_bytes.load(std::memory_order_relaxed);
    if (sealed == 0 || start != page.start) return std::nullopt;
    if (sealed - 1 > page.bytes() / commit_word_bytes || payload > page.bytes())
        return std::nullopt;
    return SealedCounts{sealed - 1, payload};
}

std::uint64_t commit_word_at(const PageView& pages, const Page& page, Position position) {
    // SYNC(published) acquire: only the word's own lengths are used.
    return word_at(pages.bytes(page.ref) + (position - page.start)).load(std::memory_order_acquire);
}

// Takes the sealed counts of the page at the count, if they agree with what was walked of it so
// far.
bool take_sealed(const PageView& pages, const Page& page, CountedPlace& counted) {
    const auto sealed = sealed_counts(pages, page);
    if (!sealed) return false;
    const std::uint64_t messages = page.messages_before + sealed->messages;
    const std::uint64_t payload = page.payload_before + sealed->payload;
    if (messages < counted.messages || payload < counted.payload) return false;
    counted = {page.end(), messages, payload};
    return true;
}

}  // namespace

bool is_sealed(const PageView& pages, const Page& page) {
    return sealed_counts(pages, page).has_value();
}

std::optional<std::size_t> page_index(const Lane& lane, Position position) {
    const auto behind =
        std::upper_bound(lane.pages.begin(), lane.pages.end(), position,
                         [](Position at, const Page& page) { return at < page.start; });
    if (behind == lane.pages.begin()) return std::nullopt;
    const auto index = static_cast<std::size_t>(behind - lane.pages.begin()) - 1;
    if (position > lane.pages[index].end()) return std::nullopt;
    return index;
}

std::optional<std::size_t> tail_index(const Lane& lane) {
    const Position at = lane.counted.position;
    const auto index = page_index(lane, at);
    const bool not_entered = index && at < lane.pages[*index].first_record();
    if (!not_entered) return index;
    return *index != 0 && lane.pages[*index - 1].end() == at ? std::optional(*index - 1)
                                                             : std::nullopt;
}

void begin_count(Lane& lane, Page& page) {
    page.messages_before = lane.counted.messages;
    page.payload_before = lane.counted.payload;
    lane.counted.position = page.first_record();
}

void leave_counted(Lane& lane, Position end, std::size_t index) {
    if (lane.counted.position == end && index < lane.pages.size())
        begin_count(lane, lane.pages[index]);
}

PageContent page_content(const PageView& pages, const Page& page) {
    if (const auto sealed = sealed_counts(pages, page)) return {sealed->messages, sealed->payload};
    PageContent content;
    for (Position at = page.first_record(); at < page.end();) {
        const std::uint64_t word = commit_word_at(pages, page, at);
        if (!record_fits(word, page.end() - at)) break;
        at += record_bytes_of(word);
        if (!is_message(word)) continue;
        ++content.messages;
        content.payload += commit_payload(word);
    }
    return content;
}

CountEnd count_forward(const PageView& pages, Lane& lane, Position limit, std::uint64_t steps) {
    CountedPlace& counted = lane.counted;
    auto index = tail_index(lane);
    if (!index) return CountEnd::at_tail;
    bool asked_header = false;
    for (std::uint64_t step = 0; step < steps; ++step) {
        Page& page = lane.pages[*index];
        if (counted.position >= page.end()) {
            // As readers do: into a page that nobody has entered yet, which may be taken back, it
            // does not go.
            if (*index + 1 == lane.pages.size()) return CountEnd::at_tail;
            Page& next = lane.pages[*index + 1];
            if (commit_word_at(pages, next, next.first_record()) == 0) return CountEnd::at_tail;
            begin_count(lane, next);
            ++*index;
            asked_header = false;
            continue;
        }
        if (counted.position >= limit) return CountEnd::at_limit;
        if (!asked_header) {
            asked_header = true;
            if (take_sealed(pages, page, counted)) continue;
        }
        const std::uint64_t word = commit_word_at(pages, page, counted.position);
        if (word == 0) return CountEnd::at_tail;
        if (record_fits(word, page.end() - counted.position)) {
            counted.position += record_bytes_of(word);
            if (is_message(word)) {
                ++counted.messages;
                counted.payload += commit_payload(word);
            }
        } else {
            if (!is_end(word)) ++lane.damaged;
            counted.position = page.end();
        }
    }
    return CountEnd::out_of_steps;
}

CountedPlace count_before(const PageView& pages, const Lane& lane, const CountedPlace& near,
                          Position position) {
    if (position >= lane.counted.position) return lane.counted;
    const auto behind =
        std::upper_bound(lane.pages.begin(), lane.pages.end(), position,
                         [](Position at, const Page& page) { return at < page.start; });
    if (behind == lane.pages.begin()) return near;
    const Page& page = *(behind - 1);
    if (position > page.end()) {  // a gap: pages there were read and freed
        if (behind == lane.pages.end()) return lane.counted;
        return {position, behind->messages_before, behind->payload_before};
    }
    CountedPlace place{page.first_record(), page.messages_before, page.payload_before};
    if (near.position >= place.position && near.position <= position) place = near;
    while (place.position < position) {
        const std::uint64_t word = commit_word_at(pages, page, place.position);
        if (!record_fits(word, page.end() - place.position)) break;
        place.position += record_bytes_of(word);
        if (is_message(word)) {
            ++place.messages;
            place.payload += commit_payload(word);
        }
    }
    return place;
}

Position position_behind(const PageView& pages, const Lane& lane, std::size_t index, Position from,
                         std::uint64_t messages) {
    const Page& page = lane.pages[index];
    Position at = std::max(from, page.first_record());
    for (std::uint64_t passed = 0; at < page.end() && at < lane.counted.position;) {
        const std::uint64_t word = commit_word_at(pages, page, at);
        if (!record_fits(word, page.end() - at)) return page.end();
        if (is_message(word) && ++passed > messages) return at;
        at += record_bytes_of(word);
    }
    return at;
}

RangeContent range_content(const PageView& pages, const Page& page, Position from, Position to) {
    RangeContent content;
    while (from < to && content.messages < 64) {
        const std::uint64_t word = commit_word_at(pages, page, from);
        if (!record_fits(word, page.end() - from)) break;
        from += record_bytes_of(word);
        if (is_message(word)) content.payload[content.messages++] = commit_payload(word);
    }
    return content;
}

}  // namespace weir::broker
