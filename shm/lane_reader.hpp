// SPDX-License-Identifier: Apache-2.0
//
// A reading position on one lane: what an exclusive consumer polls, and what walks over records.
//
// The reader loads the commit word at its position once (acquire) and decides by that copy. Zero
// means "not yet". What it reads next, the payload, stands in the same cache line as the news.
//
//   L1  the reader never looks behind the first zero word
//   L2  a word that does not fit its page ends the page for this reader: the rest of it is counted
//       as damage
//   L3  the page a reader is in stays granted, because its cursor (exclusive) is not above the
//       page's end
//
// One thread at a time.
#ifndef WEIR_SHM_LANE_READER_HPP
#define WEIR_SHM_LANE_READER_HPP

#include <utility>

#include "shm/control.hpp"
#include "shm/exchange.hpp"
#include "shm/prefetch.hpp"
#include "shm/record.hpp"

namespace weir {

// A message where it lies. Valid until its range is acknowledged or released.
struct RecordView {
    const std::byte* record = nullptr;
    std::uint64_t word =
        0;  // the private copy of the commit word: lengths are taken from here only
    Position position = 0;
    LaneId lane = 0;

    explicit operator bool() const noexcept { return word != 0; }
    const std::byte* payload() const noexcept {
        return record + commit_word_bytes + commit_envelope_words(word) * 8;
    }
    std::uint64_t payload_bytes() const noexcept { return commit_payload(word); }
    const std::byte* envelope() const noexcept { return record + commit_word_bytes; }
    std::uint64_t envelope_bytes() const noexcept { return commit_envelope_words(word) * 8; }
    Position end() const noexcept { return position + record_bytes_of(word); }
};

class LaneReader {
public:
    LaneReader() = default;
    LaneReader(PageView pages, LaneId lane) noexcept : pages_(pages), lane_(lane) {}

    // Stands at `position`, which lies in `page` (or at its end).
    void stand(PageRef page, Position position) noexcept {
        page_ = page;
        // relaxed: the caller found this page through a link or an answer that made it visible.
        start_ = pages_.slot(page).start.load(std::memory_order_relaxed);
        origin_ = pages_.bytes(page) - start_;
        end_ = start_ + pages_.length(page);
        position_ = position < start_ + page_header_bytes ? start_ + page_header_bytes : position;
    }

    // The message at the position, or an empty view. Passes skip records and page ends on the way;
    // `entering` is the consumer's hot word for pages, null for a reader whose pages cannot be
    // taken.
    RecordView look(std::atomic<PageRef>* entering) noexcept {
        if (position_ < end_) [[likely]] {
            std::byte* const record = origin_ + position_;
            // SYNC(published) acquire: the record behind this word is complete.
            const std::uint64_t word = word_at(record).load(std::memory_order_acquire);
            if (word == 0) {
                prefetch_for_read(record + cache_line);
                caught_up();
                return {};
            }
            if (is_message(word) && record_bytes_of(word) <= end_ - position_) [[likely]] {
                prefetch_in_run(record, record_bytes_of(word));
                return {record, word, position_, lane_};
            }
        }
        return look_further(entering);
    }

    // The short form of `look`, for a caller that has the long one as its second thought: the word
    // at the position (0 also at the page's end), and whether it is a message that may be taken as
    // it is.
    std::uint64_t word_here() const noexcept {
        // SYNC(published) acquire: the record behind this word is complete.
        return position_ < end_ ? word_at(origin_ + position_).load(std::memory_order_acquire) : 0;
    }
    bool may_take(std::uint64_t word) const noexcept {
        return is_message(word) && record_bytes_of(word) <= end_ - position_;
    }
    bool at_page_end() const noexcept { return position_ >= end_; }
    // Messages of one size in a row: where the next one begins is known before this one's word is.
    // An address made from the word would wait for the word's line, message by message; a branch
    // that compares it is foreseen, and the loads behind it are under way meanwhile (8 B: 160 to
    // 225 million a second; 64 B of which only the first 8 are read: 75 to 150).
    //
    // True if this word is the expected one and its message may be taken.
    bool repeats(std::uint64_t word) const noexcept {
        return word == expected_word_ && position_ + expected_bytes_ <= end_;
    }
    // From now on messages like this one are expected. `may_take` said yes, and it has no envelope.
    void expect(std::uint64_t word) noexcept {
        expected_word_ = word;
        expected_bytes_ = record_bytes_of(word);
        // barrier: none is needed, but it keeps the compiler from choosing between the two ways by
        // a computed value, which waits for the word again.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    // Takes the message that is expected: where it lies; the position is behind it afterwards.
    const std::byte* take_expected() noexcept {
        const std::byte* const record = origin_ + position_;
        prefetch_in_run(record, expected_bytes_);
        position_ += expected_bytes_;
        return record;
    }
    // A look found nothing yet: what comes next is no run of records.
    void caught_up() noexcept { run_from_ = position_ + read_ahead_bytes; }

    // Passes the message that `look` gave.
    void pass(const RecordView& record) noexcept { position_ = record.end(); }

    // Looks for the word at a position of the current page, without moving.
    bool more_behind(Position position) const noexcept {
        // SYNC(published) acquire: only its being non-zero is used.
        return position < end_ && word_at(origin_ + position).load(std::memory_order_acquire) != 0;
    }

    Position position() const noexcept { return position_; }
    PageRef page() const noexcept { return page_; }
    Position page_start() const noexcept { return start_; }
    Position page_end() const noexcept { return end_; }
    LaneId lane() const noexcept { return lane_; }
    bool standing() const noexcept { return page_ != 0; }
    std::uint64_t damaged() const noexcept { return damaged_; }

    // True when the page still is what this reader thinks it is: the question of a reader that no
    // cursor pins. Lanes start at the same position, so a page that went to another lane may have
    // the same start.
    bool page_is_current() const noexcept {
        // SYNC(page_freed) acquire: a page that was freed and given out again has another start or
        // lane.
        return page_ != 0 && pages_.slot(page_).start.load(std::memory_order_acquire) == start_ &&
               // relaxed: written before the start, with which it became visible.
               pages_.slot(page_).lane.load(std::memory_order_relaxed) == lane_;
    }

    // True when the page is current and neither about to be taken nor taken. To be asked behind
    // naming the page in `entering`.
    bool may_stay() const noexcept { return page_is_current() && !is_being_taken(page_); }
    bool is_being_taken(PageRef page) const noexcept {
        // relaxed: ordered against naming the page by the broker's membarrier.
        return is_out(pages_.slot(page).state.load(std::memory_order_relaxed));
    }

    // Messages that are missing between those passed so far and what is looked at now: the marks of
    // the pages entered since it was asked last (PageSlot.lost).
    std::uint64_t take_lost() noexcept { return std::exchange(lost_, 0); }
    // The same for a reader that stands at a message without having come there: what is missing
    // directly before it, if it is the first one of its page.
    std::uint64_t lost_here() const noexcept;

    // Goes to the next page if there is one. False: this is the last page for now.
    bool next_page(std::atomic<PageRef>* entering) noexcept;

private:
    RecordView look_further(std::atomic<PageRef>* entering) noexcept;
    // Only in a run of records: else it would take lines from a writer that has them ready.
    void prefetch_in_run(const std::byte* record, std::uint64_t bytes) const noexcept {
        if (position_ >= run_from_) prefetch_ahead_of_reader(record, bytes);
    }

    PageView pages_;
    std::byte* origin_ = nullptr;
    Position position_ = 0;
    std::uint64_t expected_word_ = commit_word(RecordKind::message, 0, 0);
    std::uint64_t expected_bytes_ = record_bytes(0, 0);
    Position run_from_ = 0;  // from here on records come in a run
    Position end_ = 0;
    Position start_ = 0;
    PageRef page_ = 0;
    LaneId lane_ = 0;
    std::uint64_t damaged_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace weir

#endif
