// SPDX-License-Identifier: Apache-2.0
//
// Flow to disk: when backlog leaves memory, which pages, and what follows from the disk's answers.
//
//             used >= threshold                      used <= resume
//   at rest ---------------------> flowing --------------------------> at rest
//             (either way only after a dwell; at once when memory is nearly gone)
//
// A destination with a limit has such a switch of its own: from its high-water mark to ten points
// of its limit below, and only its own backlog goes.
//
// While it flows, pages go until what is used, less what is on its way out, is at the lower mark.
// They are taken from the lane that holds most, furthest from its readers: first what lies between
// the last gap and the producer, in order, so that runs grow; when that is used up, what lies
// before the gap, from its end. The head of a lane stays, see lane_gaps.hpp J2.
//
// Trouble with the disk is not this file's: pages that could not be written are linked again, and
// grants tell the producers that wait why (disk_reason).
//
//   F1  no page leaves memory without being on disk, whole and answered for
//   F2  what is on disk and in memory is not written again
//   F3  as long as anything is on disk, producers leave the memory free that the largest page there
//       needs to come back; that becomes one piece when it is asked for (F5), so that no piece has
//       to lie idle for it
//   F4  it neither begins nor ends again within the dwell, unless memory is nearly gone
//   F5  memory that somebody waits for and that is free, but in pieces, is made one by sending what
//       lies between to disk, however little is in use
#ifndef WEIR_CORE_BROKER_FLOW_HPP
#define WEIR_CORE_BROKER_FLOW_HPP

#include "core/broker/read_back.hpp"

namespace weir::broker {

struct FlowMarks {
    Bytes threshold = 0;
    Bytes resume = 0;
    std::uint64_t dwell_ns = 0;
};

class Flow {
public:
    Flow(Tables& tables, io::SpillStore& store, FlowMarks marks)
        : tables_(&tables), store_(&store), marks_(marks), back_(tables, store) {}

    // Once a turn of the broker. True: there is more to do at once.
    bool turn();

private:
    struct Batch {
        LaneId lane = 0;
        io::Extent extent;
    };
    struct Stretch {
        std::size_t first = 0;
        std::size_t last = 0;  // behind the last one
    };

    struct Switch {
        bool on = false;
        std::uint64_t changed_ns = 0;
    };

    void serve(Lane& lane);
    bool turn_switch(Switch& flow, Bytes used, const FlowMarks& marks, Bytes limit) const;
    std::vector<Lane*> lanes_in_use() const;
    void written(const io::SpillOutcome& outcome);
    void put_where_they_belong(Lane& lane, std::uint64_t number, std::optional<io::Extent> place);
    Bytes find_piece_lacking();
    void push_out();
    void push_out(const Destination& destination, Switch& flow);
    void push_out(std::vector<Lane*> lanes, Bytes wanted);
    Bytes push_out(Lane& lane, Bytes wanted);
    std::optional<Stretch> choose(Lane& lane, Bytes wanted) const;
    std::vector<Stretch> between_readings(Lane& lane) const;
    std::size_t furthest(const Lane& lane, Stretch place, Bytes wanted) const;
    bool charge_runs(Lane& lane, std::size_t pages) const;
    void show_run_charges(const Lane& lane) const;
    void put_down(Lane& lane, Page& page, io::Extent extent);
    void keep_room();
    void publish();
    void tell(io::Trouble trouble);
    void show_activity(io::Trouble trouble);

    Tables* tables_;
    io::SpillStore* store_;
    FlowMarks marks_;
    ReadBack back_;
    std::map<std::uint64_t, Batch> batches_;
    std::uint64_t batches_ever_ = 0;
    Bytes leaving_ = 0;
    Switch all_;
    std::vector<Switch> each_;  // by destination
    bool any_on_ = false;
    Bytes piece_lacking_ = 0;  // this turn
    // Pages left memory, and not all are known to be back: no turn looks for them otherwise.
    bool anything_out_ = false;
    io::Trouble told_ = io::Trouble::none;
    std::uint64_t told_ns_ = 0;
    io::SpillCounts counted_;  // when the rates were taken last
    std::uint64_t counted_ns_ = 0;
};

}  // namespace weir::broker

#endif
