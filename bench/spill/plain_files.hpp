// SPDX-License-Identifier: Apache-2.0
//
// The yardstick: one file, written and read from front to back in pieces of 1 MiB, several in
// flight, past the page cache, with nothing computed. What a spill store reaches is a part of this.
#ifndef WEIR_BENCH_SPILL_PLAIN_FILES_HPP
#define WEIR_BENCH_SPILL_PLAIN_FILES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/ring.hpp"

namespace weir::bench {

inline constexpr std::uint64_t piece_bytes = 1024 * 1024;
inline constexpr std::uint64_t pieces_flying = 16;

class PlainFile {
public:
    // `memory`: as many pieces as may be in flight.
    PlainFile(io::Ring& ring, std::span<std::byte> memory, const std::string& directory,
              std::uint64_t bytes);
    ~PlainFile();
    PlainFile(const PlainFile&) = delete;
    PlainFile& operator=(const PlainFile&) = delete;

    bool sound() const noexcept { return fd_ >= 0; }
    bool direct() const noexcept { return direct_; }
    // The whole file once. False: the disk refused.
    bool write() { return pass(true); }
    bool read() { return pass(false); }
    // Piece after piece, and from the front again, as long as `more`, asked before each, says so.
    bool write_while(const std::function<bool()>& more);

private:
    bool pass(bool writing);
    void begin(bool writing, std::uint64_t offset, std::size_t place);
    // False: the disk refused; else the places whose pieces are done.
    bool await(std::vector<std::size_t>& free);

    io::Ring* ring_;
    std::span<std::byte> memory_;
    std::array<iovec, pieces_flying> pieces_{};
    std::uint64_t bytes_;
    std::string path_;
    int fd_ = -1;
    bool direct_ = true;
};

}  // namespace weir::bench

#endif
