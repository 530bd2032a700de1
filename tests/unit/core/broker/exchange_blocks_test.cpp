// SPDX-License-Identifier: Apache-2.0
//
// Blocks of a session's exchange and the pieces in them: E1-E3 of exchange_blocks.hpp.
#include "core/broker/exchange_blocks.hpp"

#include <gtest/gtest.h>

#include <set>

namespace weir::broker {
namespace {

struct Blocks {
    Account account{LimitLevel::broker};
    Account holder{LimitLevel::session};
    ExchangeBlocks blocks{account, holder};
};

TEST(ExchangeBlocks, ABlockIsSentOnceAlsoWhenItWasMadeForSomethingThatWasRefused) {
    Blocks stage;
    const Piece refused = *stage.blocks.take(128);
    stage.blocks.give_back(refused);
    const Piece piece = *stage.blocks.take(256);
    ASSERT_EQ(piece.block, refused.block);
    EXPECT_GE(stage.blocks.hand_out(piece.block), 0);
    EXPECT_EQ(stage.blocks.hand_out(piece.block), -1);
}

TEST(ExchangeBlocks, PiecesDoNotOverlapAndAreZeroAgain) {
    Blocks stage;
    std::set<std::byte*> grains;
    std::vector<Piece> pieces;
    for (int turn = 0; turn < 600; ++turn) {
        const Bytes bytes = 128 * (1 + static_cast<Bytes>(turn * 7 % 5));
        const Piece piece = *stage.blocks.take(bytes);
        ASSERT_EQ(piece.bytes, bytes);
        for (Bytes at = 0; at < bytes; at += 128) {
            ASSERT_TRUE(grains.insert(piece.base + at).second) << "in turn " << turn;
            ASSERT_EQ(piece.base[at], std::byte{0});
        }
        piece.base[0] = std::byte{1};
        pieces.push_back(piece);
        if (turn % 3 != 2) continue;
        const Piece gone = pieces[pieces.size() / 2];
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(pieces.size() / 2));
        for (Bytes at = 0; at < gone.bytes; at += 128) grains.erase(gone.base + at);
        stage.blocks.give_back(gone);
    }
    EXPECT_EQ(stage.account.used(), stage.blocks.bytes());
    EXPECT_EQ(stage.holder.used(), stage.blocks.bytes());
}

}  // namespace
}  // namespace weir::broker
