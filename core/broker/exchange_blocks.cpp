// SPDX-License-Identifier: Apache-2.0
#include "core/broker/exchange_blocks.hpp"

#include <algorithm>
#include <cstring>

#include "core/protocol/sizing.hpp"

namespace weir::broker {

// First fit; blocks have at most a few hundred grains, and one that is too full is not searched.
bool ExchangeBlocks::take_from(std::uint32_t number, Bytes bytes, Piece& piece) {
    Block& block = blocks_[number];
    const std::size_t grains = round_up(bytes, grain) / grain;
    if (block.free < grains) return false;
    std::size_t run = 0;
    for (std::size_t at = 0; at < block.taken.size(); ++at) {
        run = block.taken[at] ? 0 : run + 1;
        if (run < grains) continue;
        const std::size_t first = at + 1 - grains;
        std::fill_n(block.taken.begin() + static_cast<std::ptrdiff_t>(first), grains, true);
        piece = {block.mapping.data() + first * grain, number,
                 static_cast<std::uint32_t>(first * grain), grains * grain};
        block.free -= grains;
        std::memset(piece.base, 0, piece.bytes);
        return true;
    }
    return false;
}

Result<Piece, NoPiece> ExchangeBlocks::take(Bytes bytes) {
    Piece piece;
    for (std::uint32_t number = 0; number < blocks_.size(); ++number)
        if (take_from(number, bytes, piece)) return piece;

    const Bytes block_bytes = sizing::next_block_bytes(blocks_.size(), bytes);
    auto charge = account_->charge(block_bytes);
    if (!charge) return fail(NoPiece::heap_full);
    auto file = make_memory_file("weir-exchange", block_bytes);
    if (!file) return fail(NoPiece::system);
    auto mapping = Mapping::map(file->get(), block_bytes, Access::read_write);
    if (!mapping) return fail(NoPiece::system);

    const std::size_t grains = block_bytes / grain;
    blocks_.push_back({std::move(*charge), std::move(*mapping), std::move(*file),
                       std::vector<bool>(grains, false), grains});
    if (!take_from(static_cast<std::uint32_t>(blocks_.size() - 1), bytes, piece))
        return fail(NoPiece::system);
    return piece;
}

void ExchangeBlocks::give_back(const Piece& piece) noexcept {
    if (!piece) return;
    Block& block = blocks_[piece.block];
    const auto first = static_cast<std::ptrdiff_t>(piece.offset / grain);
    std::fill_n(block.taken.begin() + first, piece.bytes / grain, false);
    block.free += piece.bytes / grain;
}

}  // namespace weir::broker
