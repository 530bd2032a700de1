// SPDX-License-Identifier: Apache-2.0
#include "io/spill_store.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/base/check.hpp"
#include "io/spill_format.hpp"

namespace weir::io {
namespace {

// The space's operations are told from the store's by this bit of their tokens.
constexpr Token space_bit = Token{1} << 40;

// One attempt, one more at once, and so many later.
constexpr std::uint32_t attempts_max = 4;
constexpr std::uint64_t retry_ns = ns_per_s / 4;

// Of the smoothed times: an eighth of each new one.
constexpr std::uint64_t smoothing = 8;

void smooth(std::uint64_t& mean, std::uint64_t value) noexcept {
    mean = mean == 0 ? value : mean - mean / smoothing + value / smoothing;
}

}  // namespace

struct SpillStore::Operation {
    enum class Phase : std::uint8_t { free, working, flying, syncing, resting };

    Phase phase = Phase::free;
    bool is_write = false;
    bool redone = false;  // read again because a page was not sound
    Extent extent;
    int fd = -1;
    std::uint32_t number = 0;
    std::uint32_t attempts = 0;
    std::uint64_t owner = 0;
    std::uint64_t bytes = 0;
    std::uint64_t begun_ns = 0;
    std::uint64_t retry_at_ns = 0;
    std::vector<SpillPage> pages;
    std::vector<iovec> pieces;
    std::vector<std::uint32_t> damaged;
    PageChecksum checksum;
    std::size_t page = 0;  // the one whose checksum is being computed
    bool page_begun = false;
};

SpillStore::SpillStore(Files& files, SpillOptions options, const Clock& clock)
    : disk_(&files), clock_(&clock), space_(files, std::move(options), space_bit) {}

SpillStore::~SpillStore() = default;

SpillStore::Operation& SpillStore::begin(bool is_write, Extent extent,
                                         std::span<const SpillPage> pages, std::uint64_t owner) {
    auto free = std::find_if(operations_.begin(), operations_.end(),
                             [](const auto& one) { return one->phase == Operation::Phase::free; });
    if (free == operations_.end()) {
        free = operations_.insert(free, std::make_unique<Operation>());
        (*free)->number = static_cast<std::uint32_t>(operations_.size() - 1);
    }
    Operation& operation = **free;
    operation.is_write = is_write;
    operation.redone = false;
    operation.extent = extent;
    operation.fd = space_.begin_use(extent.file);
    operation.attempts = 0;
    operation.owner = owner;
    operation.bytes = 0;
    operation.begun_ns = clock_->now_ns();
    operation.pages.assign(pages.begin(), pages.end());
    operation.pieces.clear();
    operation.damaged.clear();
    operation.page = 0;
    operation.page_begun = false;
    for (const SpillPage& page : pages) {
        operation.bytes += page.bytes.size();
        // Neighbours in memory are one piece, and a single piece may take the short way.
        iovec* const last = operation.pieces.empty() ? nullptr : &operation.pieces.back();
        if (last != nullptr &&
            static_cast<std::byte*>(last->iov_base) + last->iov_len == page.bytes.data()) {
            last->iov_len += page.bytes.size();
        } else {
            operation.pieces.push_back({page.bytes.data(), page.bytes.size()});
        }
    }
    ++(is_write ? writes_flying_ : reads_flying_);
    return operation;
}

bool SpillStore::may_write(std::uint64_t bytes) {
    return writes_flying_ < flying_max && space_.has_room(bytes, clock_->now_ns());
}

std::optional<Extent> SpillStore::write(std::span<const SpillPage> pages, std::uint64_t owner) {
    WEIR_CHECK(!pages.empty() && pages.size() <= pages_max);
    std::uint64_t bytes = 0;
    for (const SpillPage& page : pages) bytes += page.bytes.size();
    if (writes_flying_ >= flying_max) return std::nullopt;
    const auto extent = space_.take(bytes, clock_->now_ns());
    if (!extent) return std::nullopt;
    Operation& operation = begin(true, *extent, pages, owner);
    operation.phase = Operation::Phase::working;
    working_.push_back(operation.number);
    return extent;
}

bool SpillStore::read(Extent extent, std::span<const SpillPage> pages, std::uint64_t owner) {
    WEIR_CHECK(!pages.empty() && pages.size() <= pages_max);
    if (reads_flying_ >= flying_max) return false;
    submit(begin(false, extent, pages, owner));
    return true;
}

void SpillStore::submit(Operation& operation) {
    operation.phase = Operation::Phase::flying;
    ++operation.attempts;
    const std::uint64_t offset = std::uint64_t{operation.extent.unit} * spill_unit;
    if (operation.is_write) {
        disk_->write(operation.fd, operation.pieces, offset, operation.number);
    } else {
        disk_->read(operation.fd, operation.pieces, offset, operation.number);
    }
}

void SpillStore::completed(Token token, std::int32_t result) {
    if ((token & space_bit) != 0) {
        space_.completed(token & ~space_bit, result, clock_->now_ns());
        return;
    }
    WEIR_CHECK(token < operations_.size());
    answered(*operations_[token], result);
}

void SpillStore::answered(Operation& operation, std::int32_t result) {
    if (operation.phase == Operation::Phase::syncing) {
        if (result < 0) return finish(operation, -result);  // what a failed sync lost is unknown
        return finish(operation, 0);
    }
    if (result < 0) return retry_or_fail(operation, -result);
    // Less than all: the rest of a full disk, or a signal. The whole is done again, which is the
    // same.
    if (static_cast<std::uint64_t>(result) != operation.bytes)
        return retry_or_fail(operation, operation.is_write ? ENOSPC : EIO);
    if (operation.is_write && !space_.is_direct(operation.extent.file)) {
        operation.phase = Operation::Phase::syncing;
        disk_->sync(operation.fd, operation.number);
        return;
    }
    if (operation.is_write) return finish(operation, 0);
    operation.phase = Operation::Phase::working;
    operation.page = 0;
    operation.page_begun = false;
    working_.push_back(operation.number);
}

void SpillStore::retry_or_fail(Operation& operation, int error) {
    if (operation.attempts >= attempts_max) return finish(operation, error);
    // Only a moment may be what is in the way of these; a write that is refused otherwise can go
    // elsewhere, its pages are in memory.
    const bool passing = error == EINTR || error == EAGAIN;
    if (operation.is_write && !passing && operation.attempts > 1) return finish(operation, error);
    ++counts_.retries;
    operation.phase = Operation::Phase::resting;
    operation.retry_at_ns = clock_->now_ns() + (operation.attempts > 1 ? retry_ns : 0);
}

// True: all pages have their checksums.
bool SpillStore::stamp(Operation& operation, std::uint64_t& budget) {
    while (operation.page < operation.pages.size()) {
        const SpillPage& page = operation.pages[operation.page];
        if (!operation.page_begun) {
            write_stamp(page.bytes, page.note);
            operation.checksum.begin(page.bytes, page.tag);
            operation.page_begun = true;
        }
        if (!operation.checksum.go_on(budget)) return false;
        write_checksum(page.bytes, operation.checksum.value());
        ++operation.page;
        operation.page_begun = false;
    }
    return true;
}

bool SpillStore::verify(Operation& operation, std::uint64_t& budget) {
    while (operation.page < operation.pages.size()) {
        const SpillPage& page = operation.pages[operation.page];
        if (!operation.page_begun) {
            operation.checksum.begin(page.bytes, page.tag);
            operation.page_begun = true;
        }
        if (!operation.checksum.go_on(budget)) return false;
        if (!stamp_matches(page.bytes, operation.checksum.value()))
            operation.damaged.push_back(static_cast<std::uint32_t>(operation.page));
        ++operation.page;
        operation.page_begun = false;
    }
    return true;
}

bool SpillStore::turn(std::uint64_t budget) {
    const std::uint64_t now = clock_->now_ns();
    for (const auto& operation : operations_)
        if (operation->phase == Operation::Phase::resting && now >= operation->retry_at_ns)
            submit(*operation);
    while (!working_.empty() && budget != 0) {
        Operation& operation = *operations_[working_.front()];
        if (operation.is_write) {
            if (!stamp(operation, budget)) break;
            working_.pop_front();
            submit(operation);
            continue;
        }
        if (!verify(operation, budget)) break;
        working_.pop_front();
        if (!operation.damaged.empty() && !operation.redone) {
            // Once more: it may have been damaged on its way and not on the disk.
            operation.redone = true;
            operation.damaged.clear();
            ++counts_.retries;
            submit(operation);
            continue;
        }
        finish(operation, 0);
    }
    space_.turn(now);
    return !working_.empty();
}

void SpillStore::finish(Operation& operation, int error) {
    const std::uint64_t now = clock_->now_ns();
    space_.end_use(operation.extent.file);
    if (operation.is_write) {
        --writes_flying_;
        if (error == 0) {
            space_.note_good_write();
            ++counts_.writes;
            counts_.bytes_written += operation.bytes;
            smooth(counts_.write_ns, now - operation.begun_ns);
        } else {
            space_.note_failed_write(operation.extent.file, error, now);
            space_.release(operation.extent, operation.bytes);
        }
    } else {
        --reads_flying_;
        if (error == 0) {
            ++counts_.reads;
            counts_.bytes_read += operation.bytes;
            smooth(counts_.read_ns, now - operation.begun_ns);
        }
    }
    outcomes_.push_back({operation.owner, operation.is_write, error, operation.damaged});
    operation.phase = Operation::Phase::free;
}

std::optional<SpillOutcome> SpillStore::take_outcome() {
    if (outcomes_.empty()) return std::nullopt;
    SpillOutcome outcome = std::move(outcomes_.front());
    outcomes_.pop_front();
    return outcome;
}

std::size_t SpillStore::in_flight() const noexcept {
    return space_.in_flight() + reads_flying_ + writes_flying_;
}

std::uint64_t SpillStore::oldest_ns() const noexcept {
    std::uint64_t oldest = 0;
    const std::uint64_t now = clock_->now_ns();
    for (const auto& operation : operations_)
        if (operation->phase != Operation::Phase::free)
            oldest = std::max(oldest, now - operation->begun_ns);
    return oldest;
}

}  // namespace weir::io
