// SPDX-License-Identifier: Apache-2.0
//
// Weir as the harness's subject: a private broker, and for each leg two fresh client processes that
// use nothing but the public API, as a service would.
//
// The broker is not pinned and ends with this process. A client spins, as the probes beside it do,
// and the two are pinned where the probes were. Messages are sent from private memory, as the copy
// stream copies from private memory, and read whole.
//
// A throughput leg first moves two windows of messages that are not counted: its processes are new,
// so they meet every page of the direct region as new, and its lane's window has to grow to what
// the rate asks for.
#ifndef WEIR_TOOLS_BENCH_SUBJECT_HPP
#define WEIR_TOOLS_BENCH_SUBJECT_HPP

#include <cstdint>
#include <memory>
#include <string>
#include <weir/weir.hpp>

#include "bench/harness/subject.hpp"
#include "bench/probes/stage.hpp"

namespace weir::tools {

struct SubjectPlan {
    bench::Stage stage;
    std::string scheme;  // "queue" or "topic"
    std::uint64_t message_bytes = 64;
};

class WeirSubject final : public bench::Subject {
public:
    // Starts the broker and learns how large a window it gives to messages of this size.
    static bench::Probed<std::unique_ptr<WeirSubject>> start(const SubjectPlan& plan);

    std::string name() const override { return "weir-" + plan_.scheme; }
    std::uint64_t footprint_bytes(std::uint64_t) const override { return window_bytes_; }

    bench::Probed<bench::SubjectRoundTrip> round_trip(std::uint64_t message_bytes,
                                                      std::uint64_t round_trips) override;
    bench::Probed<bench::SubjectThroughput> throughput(std::uint64_t message_bytes,
                                                       std::uint64_t messages) override;
    bench::Probed<bench::SubjectPaced> paced(std::uint64_t message_bytes, std::uint64_t messages,
                                             double rate_per_s) override;

private:
    WeirSubject(const SubjectPlan& plan, std::string broker, Session session)
        : plan_(plan), broker_(std::move(broker)), session_(std::move(session)) {}

    SubjectPlan plan_;
    std::string broker_;
    Session session_;  // what the private broker lives for
    std::uint64_t window_bytes_ = 64 * 1024;
};

}  // namespace weir::tools

#endif  // WEIR_TOOLS_BENCH_SUBJECT_HPP
