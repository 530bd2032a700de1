// SPDX-License-Identifier: Apache-2.0
//
// A segment's disk: a spill store and the flow of pages to it and back, as one part that a segment
// has or has not.
#ifndef WEIR_CORE_BROKER_DISK_HPP
#define WEIR_CORE_BROKER_DISK_HPP

#include <string>

#include "core/broker/flow.hpp"
#include "core/broker/limit_options.hpp"

namespace weir::broker {

// Names the spill files of a broker: two of the same name and user do not live at one time.
std::string spill_owner(std::string_view broker);

class Disk {
public:
    Disk(Tables& tables, io::Files& files, const FlowOptions& flow, Bytes limit);

    bool turn();
    void completed(io::Token token, std::int32_t result) { store_.completed(token, result); }
    // From here on nothing flows, and what is on disk is not needed any more.
    void abandon();
    bool is_idle() const noexcept { return store_.in_flight() == 0 && store_.space().files() == 0; }

private:
    io::SpillStore store_;
    Flow flow_;
    bool abandoned_ = false;
};

}  // namespace weir::broker

#endif
