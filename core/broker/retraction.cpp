// SPDX-License-Identifier: Apache-2.0
#include "core/broker/retraction.hpp"

#include <algorithm>

#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_pages.hpp"
#include "shm/barrier.hpp"
#include "shm/record.hpp"

namespace weir::broker {
namespace {

struct Cut {
    Lane* lane;
    std::size_t keep;  // index of the last page that stays
};

// The first page that the producer could be in: all before it stay.
std::optional<std::size_t> producer_at(const Tables& tables, const Lane& lane) {
    if (const auto named = producer_page_index(tables, lane)) return named;
    const auto begin = std::find_if(lane.pages.begin(), lane.pages.end(), [&](const Page& page) {
        return page.start >= lane.producer_from;
    });
    if (begin == lane.pages.end()) return std::nullopt;
    return static_cast<std::size_t>(begin - lane.pages.begin());
}

// The last page that must stay, or nothing if nothing behind it can be cut.
std::optional<std::size_t> last_needed(const Tables& tables, const Lane& lane) {
    if (!lane.live() || lane.cell == nullptr || lane.revoked_page != 0) return std::nullopt;
    auto at = producer_at(tables, lane);
    // A cursor that was moved out of an ended page (pass_ended_page) stands in the page behind it
    // already.
    while (at && *at + 1 < lane.pages.size() && lane.pages[*at + 1].start < lane.queue_cursor)
        ++*at;
    return at && *at + 1 < lane.pages.size() ? at : std::nullopt;
}

bool may_revoke(Tables& tables, Lane& lane) {
    if (!lane.live() || lane.cell == nullptr || lane.revoked_page != 0 || lane.pages.empty())
        return false;
    const auto named = producer_page_index(tables, lane);
    if (!named || *named + 1 != lane.pages.size() || anything_unread(tables, lane)) return false;
    std::byte* const first = tables.pages.bytes(lane.pages.back().ref) + page_header_bytes;
    // SYNC(published) acquire: only its being non-zero is used.
    return word_at(first).load(std::memory_order_acquire) != 0;
}

// With the stop down and no claim open: the page ends where its records end.
void end_page(Tables& tables, Lane& lane) {
    const Page& page = lane.pages.back();
    if (lane.counted.position < page.end()) {
        std::byte* const tail = tables.pages.bytes(page.ref) + (lane.counted.position - page.start);
        // SYNC(published) release: readers pass on to the next page from here.
        word_at(tail).store(commit_word(RecordKind::end, 0, 0), std::memory_order_release);
        lane.counted.position = page.end();
    }
    lane.revoked_page = page.ref;
    lane.producer_from = page.end();
    lane.start_is_shown = false;
    // SYNC(page_linked) release: nothing is published; there is no page to start in for now.
    tables.slot(lane).producer_page.store(0, std::memory_order_release);
    ++lane.revocations;
    set_stop(tables, lane, position_first);
}

}  // namespace

bool retract(Tables& tables, std::span<Lane* const> lanes) {
    std::vector<Cut> cuts;
    for (Lane* const lane : lanes) {
        const auto keep = last_needed(tables, *lane);
        if (!keep) continue;
        cut_behind(tables, *lane, *keep);
        set_stop(tables, *lane, lane->pages[*keep].end());
        cuts.push_back({lane, *keep});
    }
    if (cuts.empty()) return false;
    // barrier: whoever looks at a cut link from here on finds it cut; who looked before is named.
    barrier_everywhere();
    bool freed = false;
    for (const Cut& cut : cuts) {
        Lane& lane = *cut.lane;
        const auto at = producer_at(tables, lane);
        if (!at || *at > cut.keep) {  // it stepped in before the cut
            link_successor(tables, lane, cut.keep);
            raise_stop(tables, lane);
            continue;
        }
        free_pages(tables, lane, cut.keep + 1, lane.pages.size());
        freed = true;
    }
    return freed;
}

bool revoke(Tables& tables, std::span<Lane* const> lanes) {
    std::vector<Lane*> lowered;
    for (Lane* const lane : lanes) {
        if (!may_revoke(tables, *lane)) continue;
        lowered.push_back(lane);
        set_stop(tables, *lane, position_first);
    }
    if (lowered.empty()) return false;
    // barrier: a producer that claims from here on meets the lowered stop; who claimed before
    // announced it.
    barrier_everywhere();
    bool taken = false;
    for (Lane* const lane : lowered) {
        // SYNC(announced) acquire: a record whose announcement is gone is published.
        const std::uint64_t announced = lane->cell->announced.load(std::memory_order_acquire);
        const bool at_tail =
            count_forward(tables.pages, *lane, everything, count_steps_max) == CountEnd::at_tail &&
            !is_writing(announced, lane->counted.position);
        const auto named = producer_page_index(tables, *lane);
        const bool in_last =
            named && *named + 1 == lane->pages.size() && tail_index(*lane) == named;
        if (!at_tail || !in_last) {
            raise_stop(tables, *lane);
            continue;
        }
        end_page(tables, *lane);
        taken = true;
    }
    return taken;
}

bool revocation_is_seen(Lane& lane) noexcept {
    if (lane.revoked_page == 0) return true;
    // relaxed: the need bit, taken with acquire, was set after the producer forgot its page.
    if (lane.cell->page.load(std::memory_order_relaxed) == lane.revoked_page) return false;
    lane.revoked_page = 0;
    return true;
}

}  // namespace weir::broker
