// SPDX-License-Identifier: Apache-2.0
#include "io/page_checksum.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "io/spill_format.hpp"

namespace weir::io {

struct PageChecksum::State {
    XXH3_state_t* xxh = XXH3_createState();  // aligned as XXH3 needs it
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { XXH3_freeState(xxh); }
};

PageChecksum::PageChecksum() : state_(std::make_unique<State>()) {}
PageChecksum::PageChecksum(PageChecksum&&) noexcept = default;
PageChecksum& PageChecksum::operator=(PageChecksum&&) noexcept = default;
PageChecksum::~PageChecksum() = default;

void PageChecksum::begin(std::span<const std::byte> page, std::uint64_t tag) noexcept {
    page_ = page;
    XXH3_64bits_reset_withSeed(state_->xxh, tag);
    XXH3_64bits_update(state_->xxh, page.data(), checksum_offset);
    done_ = behind_checksum;
}

bool PageChecksum::go_on(std::uint64_t& budget) noexcept {
    const std::size_t part = std::min<std::size_t>(budget, page_.size() - done_);
    XXH3_64bits_update(state_->xxh, page_.data() + done_, part);
    done_ += part;
    budget -= part;
    return done_ == page_.size();
}

std::uint64_t PageChecksum::value() const noexcept { return XXH3_64bits_digest(state_->xxh); }

void write_stamp(std::span<std::byte> page, std::uint64_t note) noexcept {
    const PageStamp stamp{mark_and_length(page.size()), 0, note};
    std::memcpy(page.data() + stamp_offset, &stamp, sizeof stamp);
}

void write_checksum(std::span<std::byte> page, std::uint64_t checksum) noexcept {
    std::memcpy(page.data() + checksum_offset, &checksum, sizeof checksum);
}

bool stamp_matches(std::span<const std::byte> page, std::uint64_t checksum) noexcept {
    PageStamp stamp{};
    std::memcpy(&stamp, page.data() + stamp_offset, sizeof stamp);
    return stamp.mark_and_length == mark_and_length(page.size()) && stamp.checksum == checksum;
}

}  // namespace weir::io
