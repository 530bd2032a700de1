// SPDX-License-Identifier: Apache-2.0
//
// Deciding whether a broker's books and what is there differ, or only move.
//
// One recount looks at many words one after the other while the broker and its clients go on. So a
// difference counts only if it stands still: the same place with the same two numbers, in so many
// recounts in a row, each of tables at rest and behind books that were brought up to date. What
// differs each time otherwise is movement and is called that. A recount without a difference needs
// no second one: numbers that are wrong do not agree by moving.
//
//   difference   at each recount the same, tables at rest   -> drift
//   difference   ever another one                           -> moving
//   tables       never at rest                              -> moving: the broker is stopped, or
//                                                              died, in the middle of a change
#ifndef WEIR_CORE_INSPECT_EXAMINATION_HPP
#define WEIR_CORE_INSPECT_EXAMINATION_HPP

#include <cstdint>
#include <functional>

#include "core/inspect/recount.hpp"

namespace weir::inspect {

struct Examination {
    Recounted last;
    std::vector<Difference> drift;
    std::vector<Difference> moving;
    std::uint32_t recounts = 0;
    bool tables_moved = false;  // something differs, and the last recount was not of tables at rest

    // Sum of the differences of one resource, without signs.
    std::uint64_t drift_of(Resource resource) const noexcept;
};

inline constexpr std::uint32_t recounts_in_a_row = 3;

// `look` brings the books up to date and recounts; `pause` lets some time pass between two looks.
Examination examine(const std::function<Recounted()>& look, const std::function<void()>& pause,
                    std::uint32_t recounts_max);

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_EXAMINATION_HPP
