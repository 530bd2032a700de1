// SPDX-License-Identifier: Apache-2.0
//
// Memory that a pair of forked processes shares: anonymous, zeroed, gone with its last holder.
//
// A fork does not copy the page tables of shared memory, so both processes meet every page as new
// and pay a fault for it. populate() takes those faults before a leg begins; it also turns a lack
// of memory into an error here instead of a SIGBUS in the middle of a run.
#ifndef WEIR_BENCH_PROBES_SHARED_AREA_HPP
#define WEIR_BENCH_PROBES_SHARED_AREA_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "bench/probes/probe_error.hpp"

namespace weir::bench {

// Fields of different writers stand this far apart: processors fetch lines in pairs of 64 bytes.
inline constexpr std::size_t apart = 128;

class [[nodiscard]] SharedArea {
public:
    static Probed<SharedArea> create(std::uint64_t bytes);

    SharedArea(SharedArea&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    SharedArea& operator=(SharedArea&&) = delete;
    SharedArea(const SharedArea&) = delete;
    ~SharedArea();

    // Takes the page faults of this process for the whole area; what stands in it stays.
    Probed<void> populate() const;

    std::byte* data() const noexcept { return base_; }
    std::uint64_t size() const noexcept { return bytes_; }

    // The object at the start of the area. T must be happy to begin as zero bytes.
    template <class T>
    T& front() const noexcept {
        return *reinterpret_cast<T*>(base_);
    }

private:
    SharedArea(std::byte* base, std::uint64_t bytes) noexcept : base_(base), bytes_(bytes) {}

    std::byte* base_;
    std::uint64_t bytes_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_SHARED_AREA_HPP
