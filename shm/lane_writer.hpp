// SPDX-License-Identifier: Apache-2.0
//
// The producer's end of a lane.
//
// Publishing needs no lock, no read-modify-write and no tail index, because one process writes a
// lane. A record is claimed, filled and committed:
//
//   claim    announce it (plain store), look at the stop, clear the word *behind* the claimed bytes
//   fill     the bytes belong to the producer alone
//   commit   store the record's commit word (release), take the announcement back
//
// Several claims may be open at once and end in any order: readers stop at the first word that is
// zero.
//
//   W1  nothing is written at or above min(stop, page end), nor in a page that was revoked
//   W2  while a record is being written, `announced` is not zero
//   W3  the next page is entered before the end marker of this one is written
//   W4  a page is sealed only when none of its claims is open
//
// Taking back (LAYOUT.md, enter and retract): the broker lowers the stop, or unlinks a page that
// was not entered, then makes every process pass a barrier (membarrier), then looks at `announced`
// and `page`. This side stores those words before it looks at what the broker may have taken. A
// compiler barrier is enough between the two, because the broker's membarrier supplies the rest.
//
// One thread at a time.
#ifndef WEIR_SHM_LANE_WRITER_HPP
#define WEIR_SHM_LANE_WRITER_HPP

#include <vector>

#include "shm/control.hpp"
#include "shm/exchange.hpp"
#include "shm/prefetch.hpp"
#include "shm/record.hpp"

namespace weir {

enum class ClaimStatus {
    ok,
    no_grant,  // the page is full and no next one is granted, or the next one is too small
    closed,    // the lane no longer belongs to this producer
};

// An open claim. `payload` points at the first byte behind the commit word and the envelope.
struct Claim {
    Position position = 0;
    std::uint64_t bytes = 0;  // of the whole record
    std::byte* record = nullptr;
    PageRef page = 0;
};

class LaneWriter {
public:
    LaneWriter() = default;
    LaneWriter(PageView pages, const LaneSlot& lane, ProducerCell& cell) noexcept
        : pages_(pages),
          lane_(&lane),
          cell_(&cell),
          // relaxed: the broker published the lane in its answer, over the control socket.
          revocations_(
              stop_revocations(lane.stop_and_revocations.load(std::memory_order_relaxed))) {}

    // Begins in a page that an earlier producer of this lane left, with what it wrote there.
    void resume(PageRef page, Position tail, std::uint64_t messages,
                std::uint64_t payload) noexcept;

    // Claims `bytes` (a whole record, a multiple of 8) without leaving the page. Null: see
    // `advance`.
    std::byte* claim(std::uint64_t bytes) noexcept {
        const Position end = tail_ + bytes;
        if (end > page_end_) [[unlikely]]
            return nullptr;
        if (open_ == 0) {
            // relaxed: ordered against the load below by the broker's membarrier (retract).
            cell_->announced.store(tail_ | announcement_stays, std::memory_order_relaxed);
        }
        // barrier: the announcement is stored before the stop is loaded, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // relaxed: a stop that is read too late is what the announcement is for.
        if (!stop_allows(lane_->stop_and_revocations.load(std::memory_order_relaxed), revocations_,
                         end)) [[unlikely]] {
            take_back_announcement();
            return nullptr;
        }
        std::byte* const record = origin_ + tail_;
        prefetch_ahead_of_writer(record, bytes);
        // relaxed: becomes visible with the commit of this or an earlier record (published).
        if (end < page_end_) word_at(origin_ + end).store(0, std::memory_order_relaxed);
        tail_ = end;
        ++open_;
        return record;
    }

    // The short way, for a record that is committed before anything else is asked of this writer:
    // below `short_end_` and with no other claim open, three questions become one comparison.
    // Null: `claim` has to look.
    std::byte* claim_alone(std::uint64_t bytes) noexcept {
        const Position at = tail_;
        const Position end = at + bytes;
        if (end > short_end_ || open_ != 0) [[unlikely]]
            return nullptr;
        // relaxed: as in `claim`. It is not taken back: a published record ends it (exchange.hpp).
        cell_->announced.store(at, std::memory_order_relaxed);
        // barrier: the announcement is stored before the stop is loaded, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // relaxed: as in `claim`.
        if (!stop_allows(lane_->stop_and_revocations.load(std::memory_order_relaxed), revocations_,
                         end)) [[unlikely]] {
            take_back_announcement();
            return nullptr;
        }
        std::byte* const record = origin_ + at;
        prefetch_ahead_of_writer(record, bytes);
        // relaxed: becomes visible with the commit of this record (published).
        word_at(origin_ + end).store(0, std::memory_order_relaxed);
        tail_ = end;
        return record;
    }
    // Publishes what `claim_alone` gave.
    void commit_alone(std::byte* record, std::uint64_t word) noexcept {
        // SYNC(published) release: the payload and the cleared word behind become visible with
        // this.
        word_at(record).store(word, std::memory_order_release);
        count_.add(commit_payload(word));
    }
    // Records that end above `position` do not take the short way: there its owner has to act.
    void end_short_way_at(Position position) noexcept {
        short_limit_ = position;
        bound_short_way();
    }

    // Gives the first `gap` bytes (a multiple of 8, fewer than claimed) of a claim up as a skip
    // record, so that what follows starts at an address of the caller's choice. The rest stays
    // claimed.
    static std::byte* skip_ahead(std::byte* record, std::uint64_t gap) noexcept {
        // relaxed: becomes visible with the skip record in front of it.
        word_at(record + gap).store(0, std::memory_order_relaxed);
        // SYNC(published) release: readers pass to the cleared word behind, and stop there.
        word_at(record).store(commit_word(RecordKind::skip, 0, gap - commit_word_bytes),
                              std::memory_order_release);
        return record + gap;
    }

    // Publishes a claimed record of the current page: `word` is its commit word.
    void commit(std::byte* record, std::uint64_t word) noexcept {
        // SYNC(published) release: the payload and the cleared word behind become visible with
        // this.
        word_at(record).store(word, std::memory_order_release);
        count_.add(commit_payload(word));
        resolve();
    }

    // Publishes or abandons a claim of any page of this lane, in any order.
    void commit(const Claim& claim, std::uint64_t word) noexcept;
    // Gives up `claim`: readers pass over it.
    void abandon(const Claim& claim) noexcept;
    // Commits `word` and gives the unused rest of the claim back as a skip record.
    void commit_shortened(const Claim& claim, std::uint64_t word) noexcept;

    // Leaves the page for the next one when that is granted and has room for `bytes`. Off the hot
    // path.
    ClaimStatus advance(std::uint64_t bytes) noexcept;

    // Wraps a record claimed in the current page so that it may be resolved later.
    Claim keep(std::byte* record, std::uint64_t bytes) const noexcept {
        return {static_cast<Position>(record - origin_), bytes, record, page_};
    }

    // True when less than half of the window that the broker keeps ahead of this lane is left.
    bool runs_low() const noexcept {
        // relaxed: both are hints for when to ask.
        const Position stop =
            stop_position(lane_->stop_and_revocations.load(std::memory_order_relaxed));
        return stop < tail_ + lane_->window_bytes.load(std::memory_order_relaxed) / 2;
    }

    // Announces the next claim before it is made, for whoever has to look at a bound of its own
    // between the two; `withdraw` if it is not made. Off the hot path.
    void announce() noexcept {
        // relaxed: ordered against what follows by the broker's membarrier.
        if (open_ == 0)
            cell_->announced.store(tail_ | announcement_stays, std::memory_order_relaxed);
        // barrier: the announcement is stored before the bound is loaded, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void withdraw() noexcept { take_back_announcement(); }
    // True when a claim of `bytes` would find room in the page being written. Off the hot path.
    bool has_room(std::uint64_t bytes) const noexcept {
        // relaxed: as in `claim`, which looks again.
        const std::uint64_t stop = lane_->stop_and_revocations.load(std::memory_order_relaxed);
        return tail_ + bytes <= page_end_ && stop_allows(stop, revocations_, tail_ + bytes);
    }

    Position tail() const noexcept { return tail_; }
    PageRef page() const noexcept { return page_; }
    std::uint32_t open_claims() const noexcept { return open_; }
    bool ready() const noexcept { return lane_ != nullptr; }

private:
    // What was committed in a page, in one word: one store per message instead of two. A page is
    // at most 4 GiB and a page unit, and a record at least 8 bytes, so neither part overflows.
    class PageCount {
    public:
        PageCount() = default;
        PageCount(std::uint64_t messages, std::uint64_t payload) noexcept
            : both_(messages << payload_bits | payload) {}
        void add(std::uint64_t payload) noexcept { both_ += one_message + payload; }
        void add(const PageCount& more) noexcept { both_ += more.both_; }
        std::uint64_t messages() const noexcept { return both_ >> payload_bits; }
        std::uint64_t payload() const noexcept { return both_ & (one_message - 1); }

    private:
        static constexpr unsigned payload_bits = 34;
        static constexpr std::uint64_t one_message = std::uint64_t{1} << payload_bits;
        static_assert((payload_bytes_max + page_unit) / commit_word_bytes < 1u << 30);

        std::uint64_t both_ = 0;
    };
    struct LeftPage {  // a page that was left while claims in it were open
        PageRef page;
        std::uint32_t open;
        PageCount count;
    };

    void take_back_announcement() noexcept {
        // relaxed: a late clear costs the broker one more look.
        if (open_ == 0) cell_->announced.store(0, std::memory_order_relaxed);
    }
    void resolve() noexcept {
        if (--open_ == 0) {
            // SYNC(announced) release: the record above is published before the announcement goes.
            cell_->announced.store(0, std::memory_order_release);
        }
    }
    // A record of the short way ends before its page does, so that there is a word behind it.
    void bound_short_way() noexcept {
        const Position inside = page_end_ == 0 ? 0 : page_end_ - commit_word_bytes;
        short_end_ = inside < short_limit_ ? inside : short_limit_;
    }
    void enter(PageRef page, Position start) noexcept;
    void leave() noexcept;
    void resolve_in_its_page(const Claim& claim, const PageCount& more) noexcept;
    void seal(PageRef page, const PageCount& count) noexcept;
    PageRef granted_next() const noexcept;
    bool room_behind(PageRef page, std::uint64_t bytes) const noexcept;

    PageView pages_;
    const LaneSlot* lane_ = nullptr;
    ProducerCell* cell_ = nullptr;
    std::byte* origin_ = nullptr;  // address of position 0 if the lane lay in memory as one piece
    Position tail_ = 0;
    Position page_end_ = 0;
    Position short_end_ = 0;  // min(page_end_ - 8, short_limit_)
    PageRef page_ = 0;
    std::uint32_t open_ = 0;
    std::uint64_t revocations_ = 0;
    std::uint32_t open_elsewhere_ = 0;  // claims in `left_`
    PageCount count_;                   // of this page
    std::uint64_t numbered_ = 0;        // messages in pages before this one
    Position short_limit_ = ~Position{0};
    std::vector<LeftPage> left_;
};

}  // namespace weir

#endif
