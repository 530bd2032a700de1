// SPDX-License-Identifier: Apache-2.0
//
// Mapping pages into this process before they are written.
//
// The memory of the region is there, but a process meets each 4 KiB of it with a page fault of its
// own: half a microsecond and more, in the middle of a message. A page that is entered is mapped as
// a whole instead, by one call for each piece of it that this process has not touched yet. Pieces
// are 64 KiB: smaller pages are left to the faults, since most of such a page may never be written.
//
// Only a matter of speed: a kernel that cannot (before 5.14) leaves it at the faults.
#ifndef WEIR_CORE_CLIENT_FIRST_TOUCH_HPP
#define WEIR_CORE_CLIENT_FIRST_TOUCH_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::detail {

// Any number of threads at a time: two of them may map the same piece, which costs time and changes
// nothing.
class FirstTouch {
public:
    static constexpr std::size_t piece = 64 * 1024;

    FirstTouch() = default;
    // Of a mapping that this process may write.
    explicit FirstTouch(std::span<std::byte> mapping);

    // Maps what of `part`, which lies in the mapping, was not mapped by this before.
    void prepare(std::span<std::byte> part) noexcept;

private:
    bool mark(std::size_t number) noexcept;

    std::byte* first_ = nullptr;
    std::vector<std::atomic<std::uint64_t>> touched_;  // a bit per piece
};

}  // namespace weir::detail

#endif
