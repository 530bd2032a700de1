// SPDX-License-Identifier: Apache-2.0
//
// A segment under a race: its one thread serves, takes back, revokes and collects in a region that
// is far too small, while producers and consumers run in threads of their own over the same
// mappings, as their processes would. Some producers stop in the middle of a record for a while;
// consumers hold what they took. Every message must arrive, once, in the order of its producer, and
// untorn.
//
// What this does not prove: weaker orders than x86's, death (tests/system), every interleaving. It
// ends after a number of messages or seconds, whichever comes first, and fails if too little went
// through.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "core/base/clock.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

constexpr std::uint64_t messages_wanted = 150'000;  // of each producer
constexpr std::uint64_t enough = 500;
constexpr std::uint64_t time_ns = 20 * ns_per_s;

struct Race {
    std::atomic<bool> stop{false};
    std::atomic<int> producing{0};
    std::uint64_t until_ns = monotonic_ns() + time_ns;

    bool over() const { return stop.load(std::memory_order_acquire) || monotonic_ns() > until_ns; }
};

// A message: producer, number, and as many copies of the number as its size allows.
std::vector<std::uint64_t> content(std::uint64_t producer, std::uint64_t number) {
    const std::uint64_t words = number % 97 == 0 ? 3000 : 2 + (number * 7919) % 90;
    std::vector<std::uint64_t> text(words, number);
    text[0] = producer;
    return text;
}

void produce(TestProducer& producer, std::uint64_t id, Race& run,
             std::atomic<std::uint64_t>& sent) {
    for (std::uint64_t number = 0; number < messages_wanted && !run.over();) {
        const std::vector<std::uint64_t> text = content(id, number);
        const std::uint64_t size = text.size() * 8;
        const std::uint64_t bytes = record_bytes(0, size);
        std::byte* const record = producer.writer.claim(bytes);
        if (record == nullptr) {
            if (producer.writer.advance(bytes) == ClaimStatus::ok) {
                producer.stop_asking();
                continue;
            }
            producer.ask(bytes);
            std::this_thread::sleep_for(std::chrono::microseconds(20));
            continue;
        }
        std::memcpy(record + commit_word_bytes, text.data(), size);
        if (number % 1000 == 999) std::this_thread::sleep_for(std::chrono::microseconds(500));
        producer.writer.commit(record, commit_word(RecordKind::message, 0, size));
        producer.shared->signals.head().ready[producer.lane].store(1, std::memory_order_relaxed);
        if (producer.writer.runs_low())
            set_lane_bit(producer.shared->signals.head().need, producer.lane);
        ++number;
        sent.store(number, std::memory_order_release);
    }
    run.producing.fetch_sub(1, std::memory_order_acq_rel);
}

// Checks a message and gives producer and number. False: torn, or not a message of anybody.
bool check(const std::string& text, std::uint64_t& producer, std::uint64_t& number) {
    if (text.size() < 16) return false;
    std::memcpy(&producer, text.data(), 8);
    std::memcpy(&number, text.data() + 8, 8);
    const std::vector<std::uint64_t> expected = content(producer, number);
    return text.size() == expected.size() * 8 &&
           std::memcmp(text.data(), expected.data(), text.size()) == 0;
}

using Delivered = std::map<std::uint64_t, std::vector<std::uint64_t>>;  // by producer, in order

bool note(const Texts& texts, Delivered& delivered) {
    for (const std::string& text : texts) {
        std::uint64_t producer = 0;
        std::uint64_t number = 0;
        if (!check(text, producer, number)) return false;
        delivered[producer].push_back(number);
    }
    return true;
}

bool rising(const Delivered& delivered) {
    for (const auto& [producer, numbers] : delivered)
        if (!std::is_sorted(numbers.begin(), numbers.end())) return false;
    return true;
}

template <class Take>
void consume(Race& run, const std::atomic<std::uint64_t>& expected,
             std::atomic<std::uint64_t>& taken, Delivered& delivered, Take take) {
    while (!run.over()) {
        const Texts texts = take();
        if (texts.empty()) {
            if (run.producing.load(std::memory_order_acquire) == 0 &&
                taken.load(std::memory_order_acquire) >= expected.load(std::memory_order_acquire))
                return;
            std::this_thread::sleep_for(std::chrono::microseconds(10));
            continue;
        }
        if (!note(texts, delivered)) {
            ADD_FAILURE() << "a torn or foreign message behind " << taken.load();
            run.stop.store(true, std::memory_order_release);
        }
        taken.fetch_add(texts.size(), std::memory_order_acq_rel);
    }
}

// Everything that producer `id` sent is there once, and in order for each who got some of it.
void expect_all(const std::vector<Delivered>& delivered, std::uint64_t id, std::uint64_t sent) {
    std::vector<std::uint64_t> all;
    for (const Delivered& one : delivered) {
        EXPECT_TRUE(rising(one));
        if (const auto found = one.find(id); found != one.end())
            all.insert(all.end(), found->second.begin(), found->second.end());
    }
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all.size(), sent) << "of producer " << id;
    for (std::size_t number = 0; number < all.size(); ++number)
        if (all[number] != number) {
            ADD_FAILURE() << number << " of producer " << id << " is missing or there twice";
            break;
        }
    EXPECT_GT(all.size(), enough) << "of producer " << id;
}

TEST(Segment, NothingIsLostTornOrReorderedWhileMemoryIsTakenBack) {
    SegmentStage stage(1 << 20);
    Race run;
    constexpr std::size_t count = 3;
    std::vector<TestProducer> producers;
    for (std::size_t id = 0; id < count; ++id)
        producers.push_back(stage.producer(stage.session(), id == 0 ? "topic://t" : "queue://q"));
    std::vector<TestWorker> workers;
    for (int i = 0; i < 2; ++i) workers.push_back(stage.worker(stage.session(), "queue://q", 32));
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://t");

    std::vector<std::atomic<std::uint64_t>> sent(count);
    std::atomic<std::uint64_t> queued{~std::uint64_t{0}};
    std::atomic<std::uint64_t> published{~std::uint64_t{0}};
    std::atomic<std::uint64_t> worked{0};
    std::atomic<std::uint64_t> read{0};
    std::vector<Delivered> delivered(count);
    run.producing = count;
    std::vector<std::thread> threads;
    for (std::size_t id = 0; id < count; ++id)
        threads.emplace_back([&, id] { produce(producers[id], id, run, sent[id]); });
    for (std::size_t i = 0; i < workers.size(); ++i)
        threads.emplace_back([&, i] {
            consume(run, queued, worked, delivered[i], [&] {
                Texts texts;
                for (const LaneId lane : workers[i].lanes()) {
                    texts = workers[i].take(lane, 16);
                    if (!texts.empty()) break;
                }
                workers[i].acknowledge_all();
                return texts;
            });
        });
    threads.emplace_back(
        [&] { consume(run, published, read, delivered[2], [&] { return subscriber.drain(); }); });

    std::uint64_t looks = 0;
    while (!run.over() && (run.producing.load() != 0 || worked.load() < queued.load() ||
                           read.load() < published.load())) {
        stage.segment->turn();
        stage.clock.set_ns(monotonic_ns());
        if (++looks % 64 == 0) stage.segment->tick();
        if (looks % 16 == 0) stage.clock.advance_ns(2 * ns_per_s), stage.segment->tick();
        if (looks % 256 == 0) stage.segment->settle();
        EXPECT_LE(stage.direct_used(), 1u << 20);
        if (run.producing.load() == 0) {
            queued = sent[1].load() + sent[2].load();
            published = sent[0].load();
        }
        std::this_thread::yield();
    }
    for (std::thread& thread : threads) thread.join();

    // What the time did not suffice for is still there.
    for (TestWorker& worker : workers)
        EXPECT_TRUE(
            note(worker.take_all(), delivered[static_cast<std::size_t>(&worker - workers.data())]));
    EXPECT_TRUE(note(subscriber.drain(), delivered[2]));
    for (std::size_t id = 0; id < count; ++id) expect_all(delivered, id, sent[id].load());
}

}  // namespace
}  // namespace weir::test
