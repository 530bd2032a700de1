// SPDX-License-Identifier: Apache-2.0
//
// The exchange memory of one session: blocks, and the pieces of its producers and consumers in
// them.
//
// A block is a sealed memory file, allocated and charged whole before any of it is handed out. The
// first one is small, because most sessions have one producer or one consumer; later ones double up
// to `exchange_block_bytes`, and a piece that is larger gets a block of its own size. The client
// maps a block when it is sent and keeps it until the session ends, so blocks are never given back
// before.
//
// The broker keeps a descriptor of each block, named after the session: that is where reading tools
// find it (shm/census.hpp).
//
//   E1  a piece is zero when it is handed out
//   E2  pieces do not overlap; a piece that was given back may be handed out again
//   E3  a block is sent with the first answer that names a piece in it, also when what it was made
//       for was refused
#ifndef WEIR_CORE_BROKER_EXCHANGE_BLOCKS_HPP
#define WEIR_CORE_BROKER_EXCHANGE_BLOCKS_HPP

#include <algorithm>
#include <vector>

#include "core/broker/accounts.hpp"
#include "shm/exchange.hpp"
#include "shm/mapping.hpp"

namespace weir::broker {

struct Piece {
    std::byte* base = nullptr;
    std::uint32_t block = 0;
    std::uint32_t offset = 0;
    Bytes bytes = 0;

    explicit operator bool() const noexcept { return base != nullptr; }
};

enum class NoPiece { heap_full, system };  // heap_full: obstacle() says at which limit

// The block behind so many for a piece of this size.
constexpr Bytes next_block_bytes(std::size_t blocks, Bytes piece) noexcept {
    const Bytes doubled = page_unit << std::min<std::size_t>(blocks, 16);
    return std::max(round_up(piece, page_unit), std::min(doubled, Bytes{exchange_block_bytes}));
}

class ExchangeBlocks {
public:
    // Charged where sessions stand, and held by this one.
    ExchangeBlocks(Account& account, Account& holder) noexcept
        : account_(&account), holder_(&holder) {}

    // The session's number, for the names of its memory files.
    void name_after(std::uint64_t session_id) noexcept { session_id_ = session_id; }

    Result<Piece, NoPiece> take(Bytes bytes);
    void give_back(const Piece& piece) noexcept;
    // The descriptor of a block that its session was not sent yet, and is sent now; else -1.
    int hand_out(std::uint32_t block) noexcept;
    // What refused the last piece for which heap-like memory was short.
    const Obstacle& obstacle() const noexcept { return obstacle_; }

    Bytes block_bytes(std::uint32_t block) const noexcept { return blocks_[block].mapping.bytes(); }
    int descriptor(std::uint32_t block) const noexcept { return blocks_[block].file.get(); }
    // Of all blocks, as they are mapped.
    Bytes bytes() const noexcept;

private:
    static constexpr Bytes grain = line_distance;
    struct Block {
        Charge charge;
        Fd file;
        Mapping mapping;
        std::vector<bool> taken;  // one per grain
        std::size_t grains_free = 0;
        bool handed_out = false;
    };

    bool take_from(std::uint32_t number, Bytes bytes, Piece& piece);

    Account* account_;
    Account* holder_;
    Obstacle obstacle_;
    std::uint64_t session_id_ = 0;
    std::vector<Block> blocks_;
};

}  // namespace weir::broker

#endif
