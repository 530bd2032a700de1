// SPDX-License-Identifier: Apache-2.0
//
// One leg through a hand-written ring in shared memory: the engine of plain_ring and copy_stream.
//
//          tail                 head
//   +------+--------------------+----------------+
//   | free | published, unread  |      free      |   slots of one message each, nothing between
//   +------+--------------------+----------------+
//   head  written by the producer, tail by the consumer, 128 bytes apart; each side keeps what it
//         last saw of the other in a register and looks again only when that is used up
//
// It is the bound for a broker because it does nothing a broker must: messages of one size without
// a header, one producer and one consumer who trust each other, no limits, nobody ever sleeps or
// dies. What such a ring can do for its speed it does:
//
//   publish_every    messages per store of head: one line transfer serves many messages
//   stay_behind_ns   a consumer that caught up waits, rather than taking every line away from the
//                    producer that is still writing it
//   prefetch         the producer asks for lines some messages ahead, in order to write them
//
// Positions count messages in 64 bits and never wrap: 2^64 at 10^9 a second last 584 years.
#ifndef WEIR_BENCH_PROBES_RING_LEG_HPP
#define WEIR_BENCH_PROBES_RING_LEG_HPP

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "bench/probes/shared_area.hpp"
#include "bench/probes/stage.hpp"
#include "bench/probes/words.hpp"

namespace weir::bench {

struct RingShape {
    std::uint64_t message_bytes = 64;  // whole words
    std::uint64_t footprint_bytes = 256 << 10;
    std::uint64_t publish_every = 1;
    std::uint64_t stay_behind_ns = 0;
    bool prefetch = false;

    std::uint64_t slot_count() const noexcept { return footprint_bytes / message_bytes; }

    // A batch must leave room for the other side to work on at the same time.
    bool possible() const noexcept {
        return slot_count() >= 2 && publish_every <= std::max<std::uint64_t>(slot_count() / 4, 1);
    }
};

struct RingFigures {
    double msgs_per_s = 0;
    double bytes_per_s = 0;
    RingShape shape;
    std::uint64_t elapsed_ns = 0;
};

struct RingArea {
    alignas(apart) std::atomic<std::uint64_t> head;  // written by the producer
    alignas(apart) std::atomic<std::uint64_t> tail;  // written by the consumer
    alignas(apart) std::uint64_t elapsed_ns;         // by the consumer, read after its end
    alignas(4096) std::byte slots[4096];             // the first of footprint_bytes
};

// The two sides. `Traffic` says what messages are made of:
//   write(slot, index)      by the producer
//   first_of(index)         the first word that the consumer must find
//   sum_of(count)           of all words of `count` messages
// `Fixed` is the message size where the compiler shall know it, or 0.
template <std::uint64_t Fixed, class Traffic>
class RingLeg {
public:
    RingLeg(RingArea& area, const RingShape& shape, const Stage& stage, const Traffic& traffic,
            std::uint64_t messages)
        : area_(area),
          bytes_(Fixed != 0 ? Fixed : shape.message_bytes),
          slots_(shape.slot_count()),
          shape_(shape),
          stage_(stage),
          patience_(stage.placement),
          traffic_(traffic),
          messages_(messages) {}

    void produce() const noexcept {
        std::uint64_t sent = 0;
        std::uint64_t limit = slots_;
        std::uint64_t lap_begin = 0;
        while (sent < messages_) {
            if (sent == limit) limit = await_room(sent);
            std::uint64_t run_end =
                std::min({limit, messages_, lap_begin + slots_, sent + shape_.publish_every});
            write_run(sent, run_end, lap_begin);
            sent = run_end;
            // SYNC(probe_ring_head) release: the slots below are written.
            area_.head.store(sent, std::memory_order_release);
            if (sent == lap_begin + slots_) lap_begin = sent;
        }
    }

    Probed<void> consume() const {
        std::uint64_t began_ns = monotonic_ns();
        std::uint64_t taken = 0;
        std::uint64_t lap_begin = 0;
        std::uint64_t sum = 0;
        std::uint64_t disorder = 0;
        const std::uint64_t release_every = std::max<std::uint64_t>(slots_ / 16, 1);
        while (taken < messages_) {
            std::uint64_t head = await_messages(taken);
            while (taken < head) {
                std::uint64_t run_end = std::min({head, lap_begin + slots_, taken + release_every});
                read_run(taken, run_end, lap_begin, sum, disorder);
                taken = run_end;
                // SYNC(probe_ring_tail) release: the slots below are read.
                area_.tail.store(taken, std::memory_order_release);
                if (taken == lap_begin + slots_) lap_begin = taken;
            }
        }
        area_.elapsed_ns = monotonic_ns() - began_ns;
        if (disorder != 0) return fail(ProbeFault::corrupted, "a message was out of order");
        if (sum != traffic_.sum_of(messages_)) {
            return fail(ProbeFault::corrupted, "the sum of all words is wrong");
        }
        return {};
    }

private:
    std::span<std::byte> slot(std::uint64_t index, std::uint64_t lap_begin) const noexcept {
        return {area_.slots + (index - lap_begin) * bytes_, bytes_};
    }

    void write_run(std::uint64_t from, std::uint64_t to, std::uint64_t lap_begin) const noexcept {
        constexpr std::uint64_t ahead_bytes = 1024;
        for (std::uint64_t index = from; index < to; ++index) {
            std::span<std::byte> bytes = slot(index, lap_begin);
            traffic_.write(bytes, index);
            if (!shape_.prefetch) continue;
            // Near the end of a lap this asks for lines behind the ring, which does no harm.
            for (std::uint64_t line = 0; line < bytes_; line += 64) {
                cpu::prefetch_for_write(bytes.data() + ahead_bytes + line);
            }
        }
    }

    void read_run(std::uint64_t from, std::uint64_t to, std::uint64_t lap_begin, std::uint64_t& sum,
                  std::uint64_t& disorder) const noexcept {
        for (std::uint64_t index = from; index < to; ++index) {
            std::span<const std::byte> bytes = slot(index, lap_begin);
            disorder |= first_word(bytes) ^ traffic_.first_of(index);
            sum += sum_words(bytes);
        }
    }

    std::uint64_t await_room(std::uint64_t sent) const noexcept {
        for (;;) {
            // SYNC(probe_ring_tail) acquire: pairs with the consumer's store; its reads are done.
            std::uint64_t tail = area_.tail.load(std::memory_order_acquire);
            if (tail + slots_ > sent) return tail + slots_;
            patience_.between_looks<true>();
        }
    }

    std::uint64_t await_messages(std::uint64_t taken) const noexcept {
        for (;;) {
            // SYNC(probe_ring_head) acquire: pairs with the producer's store; its writes are there.
            std::uint64_t head = area_.head.load(std::memory_order_acquire);
            if (head == taken) {
                patience_.between_looks<true>();
                continue;
            }
            bool close = head - taken < slots_ / 4 && head != messages_;
            if (shape_.stay_behind_ns == 0 || !close) return head;
            stage_.clock.spin(stage_.clock.to_ticks(shape_.stay_behind_ns));
            // SYNC(probe_ring_head) acquire: as above.
            return area_.head.load(std::memory_order_acquire);
        }
    }

    RingArea& area_;
    std::uint64_t bytes_;
    std::uint64_t slots_;
    RingShape shape_;
    const Stage& stage_;
    Patience patience_;
    Traffic traffic_;
    std::uint64_t messages_;
};

template <std::uint64_t Fixed, class Traffic>
Probed<RingFigures> run_ring_leg(const Stage& stage, const std::string& name,
                                 const RingShape& shape, const Traffic& traffic,
                                 std::uint64_t messages) {
    if (!shape.possible()) return fail(ProbeFault::not_possible, name + ": the ring is too small");
    auto area = SharedArea::create(sizeof(RingArea) + shape.footprint_bytes);
    if (!area) return fail(area.error());
    auto& shared = area->front<RingArea>();
    RingLeg<Fixed, Traffic> leg(shared, shape, stage, traffic, messages);
    auto producer = [&](Meeting& meeting) -> Probed<void> {
        if (auto ready = area->populate(); !ready) return ready;
        meeting.begin();
        leg.produce();
        return {};
    };
    auto consumer = [&](Meeting& meeting) -> Probed<void> {
        if (auto ready = area->populate(); !ready) return ready;
        meeting.begin();
        return leg.consume();
    };
    auto done = run_pair(stage.plan(name), producer, consumer);
    if (!done) return fail(done.error());
    double per_s = static_cast<double>(messages) * static_cast<double>(ns_per_s) /
                   static_cast<double>(std::max<std::uint64_t>(shared.elapsed_ns, 1));
    return RingFigures{per_s, per_s * static_cast<double>(shape.message_bytes), shape,
                       shared.elapsed_ns};
}

// The fastest leg of all shapes that are possible.
template <class Leg>
Probed<RingFigures> best_ring(std::span<const RingShape> shapes, const Stage& stage,
                              LegScale& scale, const Leg& leg) {
    RingFigures best;
    for (const RingShape& shape : shapes) {
        if (!shape.possible()) continue;
        auto figures =
            run_scaled(scale, stage.leg_ns, [&](std::uint64_t count) { return leg(shape, count); });
        if (!figures) return figures;
        if (figures->msgs_per_s > best.msgs_per_s) best = *figures;
    }
    if (best.msgs_per_s == 0) {
        return fail(ProbeFault::not_possible, "no ring holds two messages of this size");
    }
    return best;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_RING_LEG_HPP
