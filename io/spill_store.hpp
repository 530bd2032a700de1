// SPDX-License-Identifier: Apache-2.0
//
// Pages to disk and back: the asynchronous writer and reader over the space of spill_space.hpp.
//
// The store knows pages by where they lie in memory and owners by a 64-bit number; what a page is,
// and where it belongs, is its owner's affair. A write gathers pages that lie anywhere in memory
// into one extent; a read scatters one. Each is answered by one outcome.
//
//   write   checksums (in slices) -> written -> [synced, where there is no O_DIRECT] -> outcome
//   read    read -> verified (in slices) -> outcome, with the pages that are not what was written
//   either  failed, short or unsound once -> tried again, at once and then later -> outcome
//
//   D1  a write whose outcome is good can be read until its extent is released; one whose outcome
//       is bad has no extent, and its pages were not changed but for their stamps
//   D2  a page that a read does not call damaged is the one that was written there
//   D3  the memory of an operation is left alone by its owner until the outcome
//   D4  per turn it looks at no more bytes than it is allowed
//
// Nothing here waits; completions come in through `completed`, work is done in `turn`.
#ifndef WEIR_IO_SPILL_STORE_HPP
#define WEIR_IO_SPILL_STORE_HPP

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/clock.hpp"
#include "io/page_checksum.hpp"
#include "io/spill_space.hpp"

namespace weir::io {

struct SpillPage {
    std::span<std::byte> bytes;  // aligned and sized in spill_unit
    std::uint64_t tag = 0;       // seeds the checksum; no two pages have the same
    std::uint64_t note = 0;      // kept in the page's stamp
};

struct SpillOutcome {
    std::uint64_t owner = 0;
    bool is_write = false;
    int error = 0;                       // an errno: nothing of it was done
    std::vector<std::uint32_t> damaged;  // read: indices of pages that are not sound
};

struct SpillCounts {
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_read = 0;
    std::uint64_t writes = 0;
    std::uint64_t reads = 0;
    std::uint64_t retries = 0;
    std::uint64_t read_ns = 0;   // smoothed, from asking to having verified
    std::uint64_t write_ns = 0;  // smoothed
};

class SpillStore {
public:
    static constexpr std::size_t pages_max = 256;  // of one operation
    static constexpr std::size_t flying_max = 16;  // of each kind

    SpillStore(Files& files, SpillOptions options, const Clock& clock);
    ~SpillStore();

    // Writes pages one behind the other; where, or nothing when there is no room now or too much is
    // in flight.
    std::optional<Extent> write(std::span<const SpillPage> pages, std::uint64_t owner);
    bool may_write(std::uint64_t bytes);
    // Reads what was written at `extent`, pages of the same sizes. False: too much is in flight.
    bool read(Extent extent, std::span<const SpillPage> pages, std::uint64_t owner);
    // What lies there is not needed any more. Not while it is read.
    void release(Extent extent, std::uint64_t bytes) { space_.release(extent, bytes); }

    // One of its operations has completed.
    void completed(Token token, std::int32_t result);
    // Goes on with everything; looks at no more than `budget` bytes. True: there is more to do now.
    bool turn(std::uint64_t budget);
    // The next outcome, in the order in which they came.
    std::optional<SpillOutcome> take_outcome();

    // All files go; for the end. Then call `turn` until nothing is in flight and no file is left.
    void abandon() { space_.abandon(); }

    const SpillSpace& space() const noexcept { return space_; }
    SpillSpace& space() noexcept { return space_; }
    const SpillCounts& counts() const noexcept { return counts_; }
    std::size_t reads_flying() const noexcept { return reads_flying_; }
    std::size_t writes_flying() const noexcept { return writes_flying_; }
    // Anything at all that the disk has not answered yet.
    std::size_t in_flight() const noexcept;
    // How long the oldest operation has been waiting for the disk.
    std::uint64_t oldest_ns() const noexcept;

private:
    struct Operation;

    Operation& begin(bool is_write, Extent extent, std::span<const SpillPage> pages,
                     std::uint64_t owner);
    void submit(Operation& operation);
    void answered(Operation& operation, std::int32_t result);
    void retry_or_fail(Operation& operation, int error);
    bool stamp(Operation& operation, std::uint64_t& budget);
    bool verify(Operation& operation, std::uint64_t& budget);
    void finish(Operation& operation, int error);

    Files* disk_;
    const Clock* clock_;
    SpillSpace space_;
    std::vector<std::unique_ptr<Operation>> operations_;  // by token
    std::deque<std::uint32_t> working_;                   // checksums to be computed, in order
    std::deque<SpillOutcome> outcomes_;
    SpillCounts counts_;
    std::size_t reads_flying_ = 0;
    std::size_t writes_flying_ = 0;
};

}  // namespace weir::io

#endif  // WEIR_IO_SPILL_STORE_HPP
