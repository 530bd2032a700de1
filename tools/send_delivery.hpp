// SPDX-License-Identifier: Apache-2.0
//
// How `weir send` hands over one message: at its intended time, waiting for room as long as it may,
// and ending between two messages when a signal asks for it.
//
// A wait for room is cut into slices, so that a signal ends it; nothing is changed by a slice that
// found no room. With --rate a message has an intended time, start + number / rate: after a delay
// the messages that are due go out at once, so the mean rate is kept and the delay is not hidden
// (an open loop).
#ifndef WEIR_TOOLS_SEND_DELIVERY_HPP
#define WEIR_TOOLS_SEND_DELIVERY_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <weir/weir.hpp>

#include "tools/progress.hpp"

namespace weir::tools {

struct DeliveryPlan {
    std::string destination;
    double rate_per_s = 0;         // 0: as fast as possible
    std::uint64_t timeout_ns = 0;  // of a wait for room; 0: none
    Envelope envelope;             // of every message
};

class Delivery {
public:
    enum class Step { sent, stop_asked, refused };

    // Refused by the broker: the error is printed and its exit code given.
    static Result<Delivery, int> open(Session& session, const DeliveryPlan& plan);

    // One message. `refused` has been explained on standard error; exit_code() says the rest.
    Step send(std::span<const std::byte> payload);

    // Room for one message of up to `bytes`, with `envelope`; commit it, then count(). `source` is
    // where it comes from, for the error.
    Step claim(std::size_t bytes, const Envelope& envelope, const std::string& source,
               OpenMessage& open);
    void count(std::size_t bytes) { progress_.count(bytes); }

    int exit_code() const noexcept { return exit_code_; }
    Progress& progress() noexcept { return progress_; }

private:
    Delivery(Producer producer, const DeliveryPlan& plan, std::uint64_t largest, bool own_waiting);

    bool wait_for_turn();
    std::uint64_t patience() const;
    template <class Try>
    Step until_room(std::size_t bytes, const std::string& source, const Try& try_once);
    Step refuse(SendError error, std::size_t bytes, const std::string& source);

    Producer producer_;
    DeliveryPlan plan_;
    std::uint64_t largest_;
    bool own_waiting_;  // the destination's name says nothing about waiting, so slices may be used
    std::uint64_t began_ns_;
    Progress progress_;
    int exit_code_ = 0;
};

}  // namespace weir::tools

#endif  // WEIR_TOOLS_SEND_DELIVERY_HPP
