// SPDX-License-Identifier: Apache-2.0
//
// The checksum of a page, computed in slices.
//
// XXH3 passes over 64 MiB in some milliseconds, which is more than a loop may spend at once. So the
// computation can be stopped after any number of bytes and goes on in a later turn.
#ifndef WEIR_IO_PAGE_CHECKSUM_HPP
#define WEIR_IO_PAGE_CHECKSUM_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace weir::io {

class PageChecksum {
public:
    PageChecksum();
    PageChecksum(PageChecksum&&) noexcept;
    PageChecksum& operator=(PageChecksum&&) noexcept;
    ~PageChecksum();

    // Begins with a page; `tag` is its seed (spill_format.hpp).
    void begin(std::span<const std::byte> page, std::uint64_t tag) noexcept;
    // Goes on for at most `budget` bytes, of which it takes what it used. True: the page is done.
    bool go_on(std::uint64_t& budget) noexcept;
    std::uint64_t value() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
    std::span<const std::byte> page_;
    std::size_t done_ = 0;
};

// Writes the stamp of a page, all but the checksum; then the checksum.
void write_stamp(std::span<std::byte> page, std::uint64_t note) noexcept;
void write_checksum(std::span<std::byte> page, std::uint64_t checksum) noexcept;
// Whether the page says that it is one of this length, with this checksum.
bool stamp_matches(std::span<const std::byte> page, std::uint64_t checksum) noexcept;

}  // namespace weir::io

#endif  // WEIR_IO_PAGE_CHECKSUM_HPP
