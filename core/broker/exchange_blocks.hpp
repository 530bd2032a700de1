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
//   E1  a piece is zero when it is handed out
//   E2  pieces do not overlap; a piece that was given back may be handed out again
#ifndef WEIR_CORE_BROKER_EXCHANGE_BLOCKS_HPP
#define WEIR_CORE_BROKER_EXCHANGE_BLOCKS_HPP

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

enum class NoPiece { heap_full, system };

class ExchangeBlocks {
public:
    explicit ExchangeBlocks(Account& account) noexcept : account_(&account) {}

    Result<Piece, NoPiece> take(Bytes bytes);
    void give_back(const Piece& piece) noexcept;
    // The descriptor of a block that the client was not given yet; empty afterwards.
    Fd take_unsent(std::uint32_t block) noexcept { return std::move(blocks_[block].unsent); }

    Bytes block_bytes(std::uint32_t block) const noexcept { return blocks_[block].mapping.bytes(); }

private:
    static constexpr Bytes grain = line_distance;
    struct Block {
        Charge charge;
        Mapping mapping;
        Fd unsent;
        std::vector<bool> taken;  // one per grain
        std::size_t free = 0;     // grains
    };

    bool take_from(std::uint32_t number, Bytes bytes, Piece& piece);

    Account* account_;
    std::vector<Block> blocks_;
};

}  // namespace weir::broker

#endif
