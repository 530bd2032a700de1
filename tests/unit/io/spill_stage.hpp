// SPDX-License-Identifier: Apache-2.0
//
// A spill store over files in memory, with pages that know what should be in them.
#ifndef WEIR_TESTS_UNIT_IO_SPILL_STAGE_HPP
#define WEIR_TESTS_UNIT_IO_SPILL_STAGE_HPP

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "io/spill_format.hpp"
#include "io/spill_store.hpp"
#include "tests/support/fake_files.hpp"

namespace weir::io {

inline constexpr std::uint64_t test_file_bytes = 1 << 20;

// Pages that lie one behind the other in memory, or scattered.
class TestPages {
public:
    TestPages(std::size_t count, std::size_t page_bytes, std::uint64_t first_tag,
              bool scattered = false)
        : page_bytes_(page_bytes) {
        const std::size_t step = page_bytes * (scattered ? 2 : 1);
        memory_.reset(static_cast<std::byte*>(std::aligned_alloc(spill_unit, step * count)));
        for (std::size_t at = 0; at < count; ++at)
            pages_.push_back({{memory_.get() + at * step, page_bytes}, first_tag + at, at});
        fill();
    }

    std::span<const SpillPage> pages() const { return pages_; }
    std::uint64_t bytes() const { return pages_.size() * page_bytes_; }
    void fill() {
        for (const SpillPage& page : pages_)
            for (std::size_t at = 0; at < page_bytes_; ++at)
                page.bytes[at] = expected(page.tag, at);
    }
    void wipe() {
        for (const SpillPage& page : pages_) std::memset(page.bytes.data(), 0xee, page_bytes_);
    }
    // All bytes but the stamp are what `fill` made of them.
    bool sound(std::size_t index) const {
        const SpillPage& page = pages_[index];
        for (std::size_t at = 0; at < page_bytes_; ++at) {
            const bool stamp = at >= stamp_offset && at < stamp_offset + sizeof(PageStamp);
            if (!stamp && page.bytes[at] != expected(page.tag, at)) return false;
        }
        return true;
    }
    bool sound() const {
        for (std::size_t index = 0; index < pages_.size(); ++index)
            if (!sound(index)) return false;
        return true;
    }
    std::uint64_t note(std::size_t index) const {
        PageStamp stamp{};
        std::memcpy(&stamp, pages_[index].bytes.data() + stamp_offset, sizeof stamp);
        return stamp.note;
    }

private:
    static std::byte expected(std::uint64_t tag, std::size_t at) {
        return static_cast<std::byte>((tag * 131 + at) >> 3);
    }
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::size_t page_bytes_;
    std::unique_ptr<std::byte, Free> memory_;
    std::vector<SpillPage> pages_;
};

struct SpillStage {
    explicit SpillStage(std::uint64_t limit = 1ull << 40, bool direct = true,
                        std::uint64_t file_bytes = test_file_bytes)
        : store(files, options(limit, direct, file_bytes), clock) {}

    static SpillOptions options(std::uint64_t limit, bool direct,
                                std::uint64_t file_bytes = test_file_bytes) {
        SpillOptions options;
        options.directory = "/spill";
        options.owner = "test.0";
        options.limit = limit;
        options.file_bytes = file_bytes;
        options.direct = direct;
        return options;
    }

    // One round of a loop; time passes when nothing else happens.
    void step(std::uint64_t idle_ns = 100 * ns_per_ms) {
        bool busy = files.deliver(
            [&](Token token, std::int32_t result) { store.completed(token, result); });
        busy = store.turn(64 * 1024) || busy;
        while (auto outcome = store.take_outcome()) outcomes[outcome->owner] = *outcome;
        if (store.space().trouble() != Trouble::none) seen[store.space().trouble()] = true;
        if (!busy) clock.advance_ns(idle_ns);
    }
    // Steps until `done`, for as long as three minutes of a broker's life.
    template <class Done>
    bool until(Done done) {
        const std::uint64_t end = clock.now_ns() + 180 * ns_per_s;
        while (!done() && clock.now_ns() < end) step();
        return done();
    }
    // The extent of a write that succeeded in the end; refused ones are asked for again.
    std::optional<Extent> write(const TestPages& pages) {
        std::optional<Extent> extent;
        const std::uint64_t end = clock.now_ns() + 60 * ns_per_s;
        while (clock.now_ns() < end) {
            const std::uint64_t owner = ++owners;
            extent = store.write(pages.pages(), owner);
            if (!extent) {
                step();
                continue;
            }
            if (!until([&] { return outcomes.count(owner) != 0; })) return std::nullopt;
            if (outcomes[owner].error == 0) return extent;
            ++failures;
        }
        return std::nullopt;
    }
    SpillOutcome read(Extent extent, const TestPages& pages) {
        const std::uint64_t owner = ++owners;
        EXPECT_TRUE(store.read(extent, pages.pages(), owner));
        EXPECT_TRUE(until([&] { return outcomes.count(owner) != 0; }));
        return outcomes[owner];
    }

    ManualClock clock;
    test::FakeFiles files{clock};
    SpillStore store;
    std::map<std::uint64_t, SpillOutcome> outcomes;
    std::map<Trouble, bool> seen;
    std::uint64_t owners = 0;
    std::uint64_t failures = 0;
};

}  // namespace weir::io

#endif
