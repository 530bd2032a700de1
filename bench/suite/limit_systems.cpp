// SPDX-License-Identifier: Apache-2.0
//
// The machine's own limits as systems, so that they stand in the same rounds as what they judge.
//
// A copy stream has two states, and a figure belongs to one of them: a reader close behind pulls
// dirty lines out of the writer's own cache, which is slow; one that stays megabytes behind gets
// them from the cache that both share, which is several times faster.
#include <map>

#include "bench/probes/copy_stream.hpp"
#include "bench/probes/parked_round_trip.hpp"
#include "bench/probes/plain_ring.hpp"
#include "bench/scenarios/hand_lane.hpp"
#include "bench/suite/systems.hpp"

namespace weir::bench {
namespace {

Measured stream_measured(const RingFigures& figures, std::string state) {
    Measured measured;
    measured.msgs_per_s = figures.msgs_per_s;
    measured.bytes_per_s = figures.bytes_per_s;
    measured.elapsed_ns = figures.elapsed_ns;
    measured.spinning = 2;
    measured.state = std::move(state);
    return measured;
}

class Limit : public System {
public:
    Kind kind() const override { return Kind::limit; }
};

class ParkedLimit final : public Limit {
public:
    explicit ParkedLimit(Parking parking) : parking_(parking) {}

    std::string name() const override { return parking_ == Parking::futex ? "futex" : "eventfd"; }
    std::string settings() const override {
        return parking_ == Parking::futex ? "one FUTEX_WAKE and one FUTEX_WAIT a side and trip"
                                          : "one write and one blocking read a side and trip";
    }
    bool has(const Cell& cell) const override {
        return cell.scenario == "ping_pong" && cell.mode == Mode::park;
    }
    Probed<Measured> run(const Scene& scene, const Cell&, std::uint64_t count) override {
        auto figures = parked_round_trip(scene.stage, parking_, count);
        if (!figures) return fail(figures.error());
        Measured measured;
        measured.latency = figures->rtt;
        measured.elapsed_ns = figures->elapsed_ns;
        return measured;
    }

private:
    Parking parking_;
};

class HandLaneLimit final : public Limit {
public:
    std::string name() const override { return "hand lane"; }
    std::string settings() const override {
        return "16 pages a way, of 4 KiB for round trips, of 64 KiB for streams; no broker";
    }
    bool has(const Cell& cell) const override {
        return cell.mode == Mode::spin &&
               (cell.scenario == "ping_pong" || cell.scenario == "one_to_one");
    }
    Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t count) override {
        if (cell.scenario == "ping_pong")
            return ping_pong_scenario<HandLane<4096>>(scene, cell, count);
        return one_to_one_scenario<HandLane<65536>>(scene, cell, count);
    }
};

class RingLimit final : public Limit {
public:
    std::string name() const override { return "plain ring"; }
    std::string settings() const override {
        return "cached positions, batched publication, the best of up to 36 shapes each round";
    }
    bool has(const Cell& cell) const override {
        return cell.mode == Mode::spin && cell.scenario == "one_to_one";
    }
    Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t) override {
        Stage stage = scene.stage;
        stage.leg_ns = std::max<std::uint64_t>(stage.leg_ns / 6, ns_per_ms);
        LegScale& scale = scales_.try_emplace(cell.size, 4096).first->second;
        auto figures = best_plain_ring(stage, scale, cell.size, own_footprint);
        if (!figures) return fail(figures.error());
        const RingShape& shape = figures->shape;
        return stream_measured(*figures, std::to_string(shape.footprint_bytes >> 10) +
                                             " KiB, published by " +
                                             std::to_string(shape.publish_every));
    }

private:
    static constexpr std::uint64_t own_footprint = 32ULL << 20;  // of Weir's window at full speed
    std::map<std::uint64_t, LegScale> scales_;
};

class CopyLimit final : public Limit {
public:
    explicit CopyLimit(bool behind) : behind_(behind) {}

    std::string name() const override {
        return behind_ ? "copy stream, from L3" : "copy stream, out of L2";
    }
    std::string settings() const override {
        return behind_
                   ? "16 MiB, published 4 MiB at a time: the reader stays behind the writer's L2"
                   : "256 KiB or four blocks, published block by block: the reader is close";
    }
    bool has(const Cell& cell) const override {
        return cell.mode == Mode::spin && cell.scenario == "one_to_one";
    }
    Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t count) override {
        RingShape shape;
        shape.message_bytes = whole_words(cell.size);
        if (behind_) {
            shape.footprint_bytes = 16ULL << 20;
            shape.publish_every = std::max<std::uint64_t>((4ULL << 20) / shape.message_bytes, 1);
        } else {
            shape.footprint_bytes = std::max<std::uint64_t>(256 << 10, 4 * shape.message_bytes);
        }
        // Several laps, or nothing would be overwritten while it is still somewhere.
        const std::uint64_t laps = 4 * shape.slot_count();
        auto figures = copy_stream_leg(scene.stage, shape, std::max(count, laps));
        if (!figures) return fail(figures.error());
        return stream_measured(*figures,
                               behind_ ? "reader more than an L2 behind" : "reader close");
    }

private:
    bool behind_;
};

}  // namespace

std::vector<std::unique_ptr<System>> limit_systems() {
    std::vector<std::unique_ptr<System>> systems;
    systems.push_back(std::make_unique<ParkedLimit>(Parking::futex));
    systems.push_back(std::make_unique<ParkedLimit>(Parking::eventfd));
    systems.push_back(std::make_unique<HandLaneLimit>());
    systems.push_back(std::make_unique<RingLimit>());
    systems.push_back(std::make_unique<CopyLimit>(false));
    systems.push_back(std::make_unique<CopyLimit>(true));
    return systems;
}

}  // namespace weir::bench
