// SPDX-License-Identifier: Apache-2.0
//
// Producers that send much more than memory holds, and consumers that pause, stop and are killed at
// random; for the system tests. Everything that happens to a message is noted in memory that all of
// its processes share, so it is known to the end what became of each.
//
//   flood BROKER QUEUE BYTES PRODUCERS CONSUMERS SEED
//
//   F1  a message is not delivered after its acknowledgement was completed
//   F2  a message that was delivered before is flagged as redelivered
//   F3  messages that are not flagged come in their producer's order to each consumer, but for
//       those that a killed consumer had claimed and not handed to its user: they come late
//   F4  a message is bit for bit what was sent
//   F5  at the end each has been acknowledged
//
// What is random is drawn from SEED; when a process is killed depends on the machine too.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>
#include <weir/weir.hpp>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t size_min = 24;
constexpr std::size_t size_mean = 2048;
constexpr std::size_t crew_max = 8;  // producers, and consumers at a time
constexpr std::size_t orphans_max = 4096;
// How far behind the last message that a consumer gave out the ones lie that it had claimed: its
// prefetch, and what the other consumers claimed in between.
constexpr std::uint64_t claimed_behind = 1000;
enum Fate : std::uint8_t { delivered = 1, acknowledging = 2, acknowledged = 4 };

struct Head {
    std::uint64_t producer;
    std::uint64_t number;
};

// What a killed consumer may have claimed and not given out: above `from`, up to claimed_behind.
struct Orphans {
    std::uint64_t producer;
    std::uint64_t from;
};

struct Shared {
    std::atomic<std::uint64_t> sent_bytes;
    std::atomic<std::uint64_t> received;
    std::atomic<std::uint64_t> redelivered;
    std::atomic<std::uint64_t> faults;
    std::atomic<bool> stop;
    std::uint64_t producers;
    std::uint64_t of_each;
    std::atomic<std::uint64_t> furthest[crew_max];         // by producer, of all consumers
    std::atomic<std::uint64_t> place[crew_max][crew_max];  // by consumer and producer
    std::atomic<std::uint64_t> orphan_count;
    Orphans orphans[orphans_max];

    std::atomic<std::uint8_t>& fate(std::uint64_t producer, std::uint64_t number) {
        return reinterpret_cast<std::atomic<std::uint8_t>*>(  // NOLINT: mapped behind this
            this + 1)[producer * of_each + number];
    }
};

bool is_orphan(const Shared& shared, Head head) {
    const std::uint64_t count = shared.orphan_count.load();
    for (std::uint64_t at = 0; at < count; ++at) {
        const Orphans& one = shared.orphans[at];
        if (one.producer == head.producer && head.number >= one.from &&
            head.number - one.from <= claimed_behind)
            return true;
    }
    return false;
}

std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

// The whole of a message follows from whose and which it is.
std::size_t write_message(Head head, std::vector<std::uint64_t>& words) {
    std::uint64_t state = mixed(head.producer << 48 ^ head.number);
    const std::size_t size = size_min + state % (2 * (size_mean - size_min)) / 8 * 8;
    words.resize(size / 8);
    words[0] = head.producer;
    words[1] = head.number;
    for (std::size_t at = 2; at < words.size(); ++at) words[at] = state += 0x9e3779b97f4a7c15;
    return size;
}

void fault(Shared& shared, const char* what, Head head) {
    if (shared.faults.fetch_add(1) < 20)
        std::fprintf(stderr, "flood: message %lu of producer %lu: %s\n", head.number, head.producer,
                     what);
}

int produce(Shared& shared, const char* broker, const char* queue, std::uint64_t number,
            std::uint64_t seed) {
    auto session = weir::connect(broker);
    if (!session) return std::fprintf(stderr, "%s\n", session.error().sentence.c_str()), 1;
    auto producer = session->producer(queue);
    if (!producer) return std::fprintf(stderr, "%s\n", producer.error().sentence.c_str()), 1;
    std::mt19937_64 random(seed + number);
    std::vector<std::uint64_t> words;
    for (std::uint64_t at = 0; at < shared.of_each; ++at) {
        const std::size_t size = write_message({number, at}, words);
        if (!producer->send(std::as_bytes(std::span(words)))) {
            std::fprintf(stderr, "flood: producer %lu could not send %lu\n", number, at);
            return 1;
        }
        shared.sent_bytes.fetch_add(size);
        if (random() % 20'000 == 0) std::this_thread::sleep_for(random() % 200 * 1ms);
    }
    return 0;
}

class Reader {
public:
    Reader(Shared& shared, std::size_t self, std::uint64_t seed)
        : shared_(shared), self_(self), random_(seed), last_(shared.producers, nowhere) {}

    void take(const weir::Message& message) {
        shared_.received.fetch_add(1);
        Head head{};
        const auto bytes = message.bytes();
        if (bytes.size() >= sizeof head) std::memcpy(&head, bytes.data(), sizeof head);
        if (bytes.size() < size_min || head.producer >= shared_.producers ||
            head.number >= shared_.of_each)
            return fault(shared_, "it is none that was sent", head);
        const std::size_t size = write_message(head, expected_);
        if (size != bytes.size() || std::memcmp(expected_.data(), bytes.data(), size) != 0)
            fault(shared_, "other bytes than were sent", head);
        const std::uint8_t before = shared_.fate(head.producer, head.number).fetch_or(delivered);
        if ((before & acknowledged) != 0)
            fault(shared_, "delivered after it was acknowledged", head);
        if (message.redelivered()) {
            shared_.redelivered.fetch_add(1);
        } else {
            if ((before & delivered) != 0) fault(shared_, "delivered twice and not flagged", head);
            in_order(head);
        }
        held_.push_back(head);
    }
    void acknowledge(weir::Consumer& consumer) {
        for (const Head& head : held_)
            shared_.fate(head.producer, head.number).fetch_or(acknowledging);
        consumer.acknowledge();
        for (const Head& head : held_)
            shared_.fate(head.producer, head.number).fetch_or(acknowledged);
        held_.clear();
    }
    bool wants_to_acknowledge() { return held_.size() >= 60 || random_() % 24 == 0; }
    void pause() {
        if (random_() % 4000 == 0) std::this_thread::sleep_for(random_() % 100 * 1ms);
    }

private:
    static constexpr std::uint64_t nowhere = ~std::uint64_t{0};

    void in_order(Head head) {
        std::uint64_t& last = last_[head.producer];
        if (last != nowhere && head.number <= last) {
            if (!is_orphan(shared_, head)) fault(shared_, "out of order", head);
            return;
        }
        last = head.number;
        shared_.place[self_][head.producer].store(last);
        std::uint64_t seen = shared_.furthest[head.producer].load();
        while (seen < last && !shared_.furthest[head.producer].compare_exchange_weak(seen, last)) {
        }
    }

    Shared& shared_;
    std::size_t self_;
    std::mt19937_64 random_;
    std::vector<std::uint64_t> last_;
    std::vector<std::uint64_t> expected_;
    std::vector<Head> held_;
};

int consume(Shared& shared, const char* broker, const char* queue, std::size_t self,
            std::uint64_t seed) {
    auto session = weir::connect(broker);
    if (!session) return std::fprintf(stderr, "%s\n", session.error().sentence.c_str()), 1;
    weir::ConsumerOptions options;
    options.prefetch = 100;
    options.acknowledge = weir::Acknowledge::cumulative;
    auto consumer = session->consumer(queue, options);
    if (!consumer) return std::fprintf(stderr, "%s\n", consumer.error().sentence.c_str()), 1;
    Reader reader(shared, self, seed);
    while (!shared.stop.load()) {
        auto message = consumer->receive(100ms);
        if (message) reader.take(*message);
        if (!message || reader.wants_to_acknowledge()) reader.acknowledge(*consumer);
        reader.pause();
    }
    return 0;
}

class Flood {
public:
    Flood(Shared& shared, char** argv)
        : shared_(shared),
          broker_(argv[1]),
          queue_(argv[2]),
          consumers_(std::strtoul(argv[5], nullptr, 10)),
          seed_(std::strtoul(argv[6], nullptr, 10)),
          random_(seed_) {}

    int run(std::uint64_t bytes) {
        for (std::uint64_t number = 0; number < shared_.producers; ++number)
            producers_.push_back(
                started([&] { return produce(shared_, broker_, queue_, number, seed_); }));
        // A third of all waits before anybody reads.
        while (shared_.sent_bytes.load() < bytes / 3 && any_producer()) pause(20ms);
        for (std::size_t self = 0; self < consumers_.size(); ++self) begin_consumer(self);
        while (any_producer()) disturb();
        for (int quiet = 0; quiet < 20;) {
            const std::uint64_t before = shared_.received.load();
            if (random_() % 8 == 0 && missing() != 0) disturb();
            pause(200ms);
            quiet = shared_.received.load() == before ? quiet + 1 : 0;
            if (quiet == 5 && missing() == 0) break;
        }
        shared_.stop.store(true);
        for (const pid_t one : consumers_) waitpid(one, nullptr, 0);
        const std::uint64_t lost = missing();
        std::printf(
            "%lu messages, %lu received, %lu of them again, %d kills, %lu not acknowledged, "
            "%lu faults\n",
            shared_.producers * shared_.of_each, shared_.received.load(),
            shared_.redelivered.load(), kills_, lost, shared_.faults.load());
        return lost == 0 && shared_.faults.load() == 0 && !failed_ ? 0 : 1;
    }

private:
    template <class Work>
    static pid_t started(Work work) {
        const pid_t child = fork();
        if (child == 0) _exit(work());
        return child;
    }
    void begin_consumer(std::size_t self) {
        const std::uint64_t seed = random_();
        for (std::uint64_t producer = 0; producer < shared_.producers; ++producer)
            shared_.place[self][producer].store(shared_.furthest[producer].load());
        consumers_[self] =
            started([&, self, seed] { return consume(shared_, broker_, queue_, self, seed); });
    }
    // What it may have claimed is known before it is gone.
    void kill_consumer(std::size_t self) {
        kill(consumers_[self], SIGSTOP);
        for (std::uint64_t producer = 0; producer < shared_.producers; ++producer) {
            const std::uint64_t at = shared_.orphan_count.load();
            if (at == orphans_max) continue;
            shared_.orphans[at] = {producer, shared_.place[self][producer].load()};
            shared_.orphan_count.store(at + 1);
        }
        kill(consumers_[self], SIGKILL);
        waitpid(consumers_[self], nullptr, 0);
        ++kills_;
    }
    static void pause(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }
    bool any_producer() {
        std::erase_if(producers_, [&](pid_t one) {
            int status = 0;
            if (waitpid(one, &status, WNOHANG) != one) return false;
            failed_ = failed_ || status != 0;
            return true;
        });
        return !producers_.empty();
    }
    void disturb() {
        pause(std::chrono::milliseconds(random_() % 300));
        const std::size_t self = random_() % consumers_.size();
        const pid_t one = consumers_[self];
        switch (random_() % 4) {
            case 0:
                kill_consumer(self);
                begin_consumer(self);
                return;
            case 1:
                kill(one, SIGSTOP);
                pause(std::chrono::milliseconds(random_() % 300));
                kill(one, SIGCONT);
                return;
            case 2:
                for (const pid_t each : consumers_) kill(each, SIGSTOP);
                pause(std::chrono::milliseconds(random_() % 500));
                for (const pid_t each : consumers_) kill(each, SIGCONT);
                return;
            default: return;
        }
    }
    std::uint64_t missing() {
        std::uint64_t count = 0;
        for (std::uint64_t producer = 0; producer < shared_.producers; ++producer)
            for (std::uint64_t number = 0; number < shared_.of_each; ++number)
                if ((shared_.fate(producer, number).load() & (acknowledging | acknowledged)) == 0)
                    ++count;
        return count;
    }

    Shared& shared_;
    const char* broker_;
    const char* queue_;
    std::vector<pid_t> producers_;
    std::vector<pid_t> consumers_;
    std::uint64_t seed_;
    std::mt19937_64 random_;
    int kills_ = 0;
    bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 7 || std::strtoul(argv[4], nullptr, 10) > crew_max ||
        std::strtoul(argv[5], nullptr, 10) > crew_max)
        return 2;
    const std::uint64_t bytes = std::strtoull(argv[3], nullptr, 10);
    const std::uint64_t producers = std::strtoull(argv[4], nullptr, 10);
    const std::uint64_t of_each = bytes / size_mean / producers;
    void* const memory = mmap(nullptr, sizeof(Shared) + producers * of_each, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    Shared& shared = *new (memory) Shared{};
    shared.producers = producers;
    shared.of_each = of_each;
    std::fprintf(stderr, "flood: seed %s\n", argv[6]);
    return Flood(shared, argv).run(bytes);
}
