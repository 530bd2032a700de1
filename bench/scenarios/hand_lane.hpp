// SPDX-License-Identifier: Apache-2.0
//
// A minimal lane, written by hand, without a broker: what the design of a lane costs by itself.
//
//   page 0                      page 1                        16 pages, used round and round
//   +------+---------+------+--+------+---------+---
//   | word | payload | word |e | word | payload | ...     word: 0 not yet, length + 1, or e: end
//   +------+---------+------+--+------+---------+---
//
// The producer clears the word behind a record, writes the payload, stores the record's own word
// last. The reader polls that word: one line brings the news and the first bytes. Pages are reused
// when the reader has left them, which it says once per page. It shares no code with shm/: it is
// what Weir's round trip is measured against, and it has no limits, no books, no sleepers, no
// second reader, and trusts both sides.
//
// Invariants
//   L1  the word at the producer's place is 0 before the word in front of it is stored
//   L2  the producer enters a page only after the reader has left it
#ifndef WEIR_BENCH_SCENARIOS_HAND_LANE_HPP
#define WEIR_BENCH_SCENARIOS_HAND_LANE_HPP

#include <array>
#include <atomic>
#include <cstring>
#include <memory>

#include "bench/probes/shared_area.hpp"
#include "bench/scenarios/carrier.hpp"

namespace weir::bench {

struct HandLaneArea {
    alignas(apart) std::atomic<std::uint64_t> pages_left;  // written by the reader
    alignas(4096) std::byte bytes[4096];                   // the first of the pages
};

struct HandLanePlace {
    HandLaneArea* area;
    std::uint64_t page_bytes;
    Patience patience;

    static constexpr std::uint64_t pages = 16;
    static constexpr std::uint64_t word_bytes = 8;
    static constexpr std::uint64_t end_of_page = ~std::uint64_t{0};

    std::byte* page(std::uint64_t number) const noexcept {
        return area->bytes + number % pages * page_bytes;
    }
    static std::atomic<std::uint64_t>& word_at(std::byte* at) noexcept {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(at);
    }
};

class HandLaneSender : public Failing {
public:
    explicit HandLaneSender(const HandLanePlace& place) : place_(place) {}

    bool send(std::span<const std::byte> bytes) noexcept {
        const std::uint64_t record = HandLanePlace::word_bytes + (bytes.size() + 7) / 8 * 8;
        // Room for the record and for the word behind it.
        if (at_ + record + HandLanePlace::word_bytes > place_.page_bytes) next_page();
        std::byte* const start = place_.page(page_) + at_;
        // relaxed: published with this record's own word below (L1).
        HandLanePlace::word_at(start + record).store(0, std::memory_order_relaxed);
        std::memcpy(start + HandLanePlace::word_bytes, bytes.data(), bytes.size());
        // SYNC(bench_lane_word) release: the payload and the cleared word behind it.
        HandLanePlace::word_at(start).store(bytes.size() + 1, std::memory_order_release);
        at_ += record;
        return true;
    }
    bool flush() noexcept { return true; }

private:
    void next_page() noexcept {
        // SYNC(bench_lane_left) acquire: the reader's last look at the page is over (L2).
        while (page_ + 1 - place_.area->pages_left.load(std::memory_order_acquire) >=
               HandLanePlace::pages)
            place_.patience.between_looks<true>();
        // relaxed: published with the end mark below (L1).
        HandLanePlace::word_at(place_.page(page_ + 1)).store(0, std::memory_order_relaxed);
        std::byte* const end = place_.page(page_) + at_;
        // SYNC(bench_lane_word) release: the cleared first word of the next page.
        HandLanePlace::word_at(end).store(HandLanePlace::end_of_page, std::memory_order_release);
        ++page_;
        at_ = 0;
    }

    HandLanePlace place_;
    std::uint64_t page_ = 0;
    std::uint64_t at_ = 0;
};

class HandLaneReceiver : public Failing {
public:
    explicit HandLaneReceiver(const HandLanePlace& place) : place_(place) {}

    std::span<const std::byte> receive() noexcept {
        for (;;) {
            std::byte* const start = place_.page(page_) + at_;
            // SYNC(bench_lane_word) acquire: the record, and the word behind it.
            const std::uint64_t word =
                HandLanePlace::word_at(start).load(std::memory_order_acquire);
            if (word == 0) {
                place_.patience.between_looks<true>();
            } else if (word == HandLanePlace::end_of_page) {
                ++page_;
                at_ = 0;
                // SYNC(bench_lane_left) release: everything in the page has been read.
                place_.area->pages_left.store(page_, std::memory_order_release);
            } else {
                at_ += HandLanePlace::word_bytes + (word - 1 + 7) / 8 * 8;
                return {start + HandLanePlace::word_bytes, word - 1};
            }
        }
    }

private:
    HandLanePlace place_;
    std::uint64_t page_ = 0;
    std::uint64_t at_ = 0;
};

// Small pages keep both ways of a round trip in the nearest cache; a stream wants large ones.
template <std::uint64_t PageBytes>
class HandLane {
public:
    using Sender = HandLaneSender;
    using Receiver = HandLaneReceiver;
    static constexpr std::uint64_t warm_up_bytes = 4ULL << 20;
    static constexpr std::uint64_t bytes_min = 0;

    static Probed<HandLane> wire(const Scene& scene, std::uint64_t message_bytes) {
        const std::uint64_t page_bytes =
            std::max(PageBytes, (4 * message_bytes + 4095) / 4096 * 4096);
        HandLane lane{Patience(scene.stage.placement), page_bytes};
        for (auto& area : lane.areas_) {
            auto made =
                SharedArea::create(sizeof(HandLaneArea) + HandLanePlace::pages * page_bytes);
            if (!made) return fail(made.error());
            area = std::make_unique<SharedArea>(std::move(*made));
        }
        return lane;
    }
    Probed<Sender> sender(Way way) const { return end<Sender>(way); }
    Probed<Receiver> receiver(Way way, Mode) const { return end<Receiver>(way); }

private:
    HandLane(Patience patience, std::uint64_t page_bytes)
        : patience_(patience), page_bytes_(page_bytes) {}

    template <class End>
    Probed<End> end(Way way) const {
        const SharedArea& area = *areas_[way == Way::there ? 0 : 1];
        if (auto ready = area.populate(); !ready) return fail(ready.error());
        return End(HandLanePlace{&area.front<HandLaneArea>(), page_bytes_, patience_});
    }

    Patience patience_;
    std::uint64_t page_bytes_;
    std::array<std::unique_ptr<SharedArea>, 2> areas_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_HAND_LANE_HPP
