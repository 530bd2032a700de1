// SPDX-License-Identifier: Apache-2.0
//
// `weir-spill`: pages to disk and back through the spill store, beside plain io_uring on the same
// directory, interleaved in one run. README.md says what the legs do and how to read them.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "bench/spill/figures.hpp"
#include "bench/spill/plain_files.hpp"
#include "core/base/clock.hpp"
#include "io/files.hpp"
#include "io/spill_directory.hpp"
#include "io/spill_store.hpp"

namespace weir::bench {
namespace {

constexpr std::uint64_t page_bytes = checked_page_bytes;
constexpr std::uint64_t pages_gathered = piece_bytes / page_bytes;
constexpr std::uint64_t budget_per_turn = 2 * piece_bytes;

struct Plan {
    std::string directory;
    std::uint64_t bytes = 2ull << 30;
    int rounds = 5;
};

struct Leg {
    Series gb_per_s;
    Series cpu_s_per_gb;
};

double cpu_s() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

template <class Act>
bool run_leg(Leg& leg, std::uint64_t bytes, Act act) {
    const double cpu = cpu_s();
    const std::uint64_t start = monotonic_ns();
    if (!act()) return false;
    const double gb = static_cast<double>(bytes) / bytes_per_gb;
    leg.gb_per_s.push_back(gb * 1e9 / static_cast<double>(monotonic_ns() - start));
    leg.cpu_s_per_gb.push_back((cpu_s() - cpu) / gb);
    return true;
}

// The store, with the broker's part: pages in memory, and a loop.
class Spiller {
public:
    Spiller(io::Ring& ring, std::span<std::byte> memory, const Plan& plan)
        : ring_(&ring), memory_(memory), bytes_(plan.bytes), files_(ring, 0) {
        io::SpillOptions options;
        options.directory = plan.directory;
        options.owner = "weir-spill-bench";
        options.limit = plan.bytes * 2 + (256ull << 20);
        store_.emplace(files_, options, clock_);
    }

    // The first files are made before time is taken: in a broker the next one is ready in advance.
    bool prepare() {
        return turns_until([&] { return store_->may_write(piece_bytes); });
    }
    bool write() {
        extents_.clear();
        std::vector<bool> busy(pieces_flying, false);
        std::uint64_t done = 0;
        const std::uint64_t all = bytes_ / piece_bytes;
        return turns_until([&] {
            while (auto outcome = store_->take_outcome()) {
                failed_ = failed_ || outcome->error != 0;
                busy[outcome->owner] = false;
                ++done;
            }
            for (std::size_t place = 0; place < busy.size() && extents_.size() < all; ++place) {
                if (busy[place]) continue;
                const auto extent = store_->write(pages(place, extents_.size()), place);
                if (!extent) break;
                extents_.push_back(*extent);
                busy[place] = true;
            }
            return done == all;
        });
    }
    bool read() {
        std::vector<bool> busy(pieces_flying, false);
        std::uint64_t done = 0;
        std::uint64_t asked = 0;
        return turns_until([&] {
            while (auto outcome = store_->take_outcome()) {
                failed_ = failed_ || outcome->error != 0 || !outcome->damaged.empty();
                busy[outcome->owner] = false;
                ++done;
            }
            for (std::size_t place = 0; place < busy.size() && asked < extents_.size(); ++place) {
                if (busy[place]) continue;
                if (!store_->read(extents_[asked], pages(place, asked), place)) break;
                ++asked;
                busy[place] = true;
            }
            return done == extents_.size();
        });
    }
    // Not timed: in a broker it happens page by page.
    bool release() {
        for (const io::Extent& extent : extents_) store_->release(extent, piece_bytes);
        store_->abandon();
        return turns_until([&] { return store_->space().files() == 0; });
    }

private:
    std::span<const io::SpillPage> pages(std::size_t place, std::uint64_t piece) {
        pages_.clear();
        for (std::uint64_t at = 0; at < pages_gathered; ++at)
            pages_.push_back({memory_.subspan(place * piece_bytes + at * page_bytes, page_bytes),
                              piece * pages_gathered + at, 0});
        return pages_;
    }
    template <class Done>
    bool turns_until(Done done) {
        bool more = false;
        while (!done() && !failed_) {
            if (!ring_->wait(more ? 0 : ns_per_ms)) return false;
            for (const io::Completion& completion : ring_->drain(64))
                store_->completed(completion.token, completion.result);
            more = store_->turn(budget_per_turn);
        }
        return !failed_;
    }

    io::Ring* ring_;
    std::span<std::byte> memory_;
    std::uint64_t bytes_;
    MonotonicClock clock_;
    io::RingFiles files_;
    std::optional<io::SpillStore> store_;
    std::vector<io::Extent> extents_;
    std::vector<io::SpillPage> pages_;
    bool failed_ = false;
};

void print(const char* name, const Leg& leg, const Leg* beside) {
    fmt::print("{:12} {:6.2f} GB/s  {:6.3f} CPU s/GB", name, median(leg.gb_per_s),
               median(leg.cpu_s_per_gb));
    if (beside != nullptr)
        fmt::print("  {:5.2f} of plain", median(ratios(leg.gb_per_s, beside->gb_per_s)));
    fmt::print("\n");
}

int run(const Plan& plan) {
    auto ring = io::Ring::create(64);
    if (!ring) {
        fmt::print(stderr, "weir-spill: {}\n", ring.error().sentence);
        return 1;
    }
    const std::size_t size = pieces_flying * piece_bytes;
    void* const mapped =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return 1;
    const std::span memory(static_cast<std::byte*>(mapped), size);
    for (std::size_t at = 0; at < size; ++at) memory[at] = static_cast<std::byte>(at * 37 >> 3);
    const bool registered =
        ring->make_buffer_places(1) == 0 && ring->register_buffer(0, memory) == 0;

    Leg plain_write, plain_read, spill, read_back, checksums;
    bool direct = true;
    for (int round = 0; round < plan.rounds; ++round) {
        // Anew each round, as spill files are: writing over what was written before is faster.
        PlainFile plain(*ring, memory, plan.directory, plan.bytes);
        if (!plain.sound()) {
            fmt::print(stderr, "weir-spill: cannot make a file of {} bytes in {}\n", plan.bytes,
                       plan.directory);
            return 1;
        }
        direct = plain.direct();
        Spiller spiller(*ring, memory, plan);
        const bool done =
            run_leg(plain_write, plan.bytes, [&] { return plain.write(); }) && spiller.prepare() &&
            run_leg(spill, plan.bytes, [&] { return spiller.write(); }) &&
            run_leg(plain_read, plan.bytes, [&] { return plain.read(); }) &&
            run_leg(read_back, plan.bytes, [&] { return spiller.read(); }) &&
            run_leg(checksums, plan.bytes, [&] { return checksum_all(memory, plan.bytes); }) &&
            spiller.release();
        if (!done) {
            fmt::print(stderr, "weir-spill: the disk of {} refused\n", plan.directory);
            return 1;
        }
    }
    if (!direct) fmt::print("no O_DIRECT here: these figures are the page cache's\n");
    if (!registered) fmt::print("memory is not registered (RLIMIT_MEMLOCK)\n");
    print("plain write", plain_write, nullptr);
    print("spill", spill, &plain_write);
    print("plain read", plain_read, nullptr);
    print("read back", read_back, &plain_read);
    print("XXH3 alone", checksums, nullptr);
    return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int count, char** arguments) {
    weir::bench::Plan plan;
    CLI::App app("Pages to disk and back, beside plain io_uring");
    app.add_option("--directory", plan.directory, "on the disk to be measured")->required();
    app.add_option("--bytes", plan.bytes, "per leg, whole MiB")->check(CLI::PositiveNumber);
    app.add_option("--rounds", plan.rounds)->check(CLI::PositiveNumber);
    CLI11_PARSE(app, count, arguments);
    plan.bytes = plan.bytes / weir::bench::piece_bytes * weir::bench::piece_bytes;
    if (plan.bytes == 0) plan.bytes = weir::bench::piece_bytes;
    return weir::bench::run(plan);
}
