// SPDX-License-Identifier: Apache-2.0
#include "core/broker/exchange_blocks.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace weir::broker {

// First fit in a block; blocks have at most a few hundred grains.
bool ExchangeBlocks::take_from(std::uint32_t number, Bytes bytes, Piece& piece) {
    Block& block = blocks_[number];
    const std::size_t grains = round_up(bytes, grain) / grain;
    if (block.grains_free < grains) return false;
    std::size_t run = 0;
    for (std::size_t at = 0; at < block.taken.size(); ++at) {
        run = block.taken[at] ? 0 : run + 1;
        if (run < grains) continue;
        const std::size_t first = at + 1 - grains;
        std::fill_n(block.taken.begin() + static_cast<std::ptrdiff_t>(first), grains, true);
        piece = {block.mapping.data() + first * grain, number,
                 static_cast<std::uint32_t>(first * grain), grains * grain};
        std::memset(piece.base, 0, piece.bytes);
        block.grains_free -= grains;
        return true;
    }
    return false;
}

Result<Piece, NoPiece> ExchangeBlocks::take(Bytes bytes) {
    Piece taken;
    // From the newest on: a session that opens thousands has filled the older ones.
    for (auto number = static_cast<std::uint32_t>(blocks_.size()); number-- > 0;)
        if (take_from(number, bytes, taken)) return taken;

    const Bytes block_bytes = next_block_bytes(blocks_.size(), bytes);
    auto charge = account_->charge(block_bytes, holder_);
    if (!charge) {
        obstacle_ = charge.error();
        return fail(NoPiece::heap_full);
    }
    const std::string name = "weir-exchange-" + std::to_string(session_id_);
    auto file = make_memory_file(name.c_str(), block_bytes);
    if (!file) return fail(NoPiece::system);
    auto mapping = Mapping::map(file->get(), block_bytes, Access::read_write);
    if (!mapping) return fail(NoPiece::system);

    blocks_.push_back({std::move(*charge), std::move(*file), std::move(*mapping),
                       std::vector<bool>(block_bytes / grain, false), block_bytes / grain});
    if (!take_from(static_cast<std::uint32_t>(blocks_.size() - 1), bytes, taken))
        return fail(NoPiece::system);
    return taken;
}

int ExchangeBlocks::hand_out(std::uint32_t block) noexcept {
    return std::exchange(blocks_[block].handed_out, true) ? -1 : blocks_[block].file.get();
}

Bytes ExchangeBlocks::bytes() const noexcept {
    Bytes sum = 0;
    for (const Block& block : blocks_) sum += block.mapping.bytes();
    return sum;
}

void ExchangeBlocks::give_back(const Piece& piece) noexcept {
    if (!piece) return;
    const auto first = static_cast<std::ptrdiff_t>(piece.offset / grain);
    std::fill_n(blocks_[piece.block].taken.begin() + first, piece.bytes / grain, false);
    blocks_[piece.block].grains_free += piece.bytes / grain;
}

}  // namespace weir::broker
