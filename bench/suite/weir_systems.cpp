// SPDX-License-Identifier: Apache-2.0
//
// Weir as systems: a broker of 256 MiB per round, started for its cells and ended after them.
#include <array>
#include <string_view>

#include "bench/scenarios/weir_broker.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"
#include "bench/suite/systems.hpp"

namespace weir::bench {
namespace {

constexpr const char* direct_size = "256M";

struct Row {
    std::string_view scenario;
    Probed<Measured> (*run)(const Scene&, const Cell&, std::uint64_t);
};

constexpr std::array rows{
    Row{"ping_pong", ping_pong_scenario<WeirTopic>},
    Row{"one_to_one", one_to_one_scenario<WeirTopic>},
    Row{"open_loop", open_loop_scenario<WeirTopic>},
    Row{"fan_in", fan_in},
    Row{"fan_out", fan_out},
    Row{"competing", competing},
    Row{"slow_consumer", slow_consumer},
    Row{"many_destinations", many_destinations},
    Row{"oversubscribed", oversubscribed},
    Row{"in_place", in_place},
    Row{"untouched", untouched},
    Row{"flow_to_disk", flow_to_disk},
    Row{"idle", idle},
    Row{"first_message", first_message},
};

class WeirSystem final : public System {
public:
    std::string name() const override { return "weir"; }
    Kind kind() const override { return Kind::weir; }
    std::string settings() const override {
        return "topic, one send per message, direct memory 256 MiB, everything else by default";
    }
    bool has(const Cell& cell) const override { return row_of(cell) != nullptr; }
    Probed<void> begin(const Scene& scene) override {
        auto server = start_weir_broker(scene, weir_broker_name(scene), {"--direct", direct_size});
        if (!server) return fail(server.error());
        server_ = std::make_unique<Server>(std::move(*server));
        return {};
    }
    void end() override { server_.reset(); }
    Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t count) override {
        return row_of(cell)->run(scene, cell, count);
    }

private:
    static const Row* row_of(const Cell& cell) {
        for (const Row& row : rows)
            if (row.scenario == cell.scenario) return &row;
        return nullptr;
    }

    std::unique_ptr<Server> server_;
};

// The pair's scenarios over queues: each range of messages is claimed. Each leg has queues of its
// own, since what a leg had not acknowledged when it ended is delivered again.
class QueuePeer : public PeerTraits {
public:
    static constexpr Kind kind = Kind::weir;
    static constexpr std::string_view name = "weir queue";
    static constexpr std::string_view settings =
        "queue with one consumer, prefetch 1000, else as weir";
    static constexpr std::uint64_t warm_up_bytes = WeirTopic::warm_up_bytes;
    static constexpr std::uint64_t bytes_min = WeirTopic::bytes_min;
    using Sender = WeirSender;
    using Receiver = WeirReceiver;

    static Probed<Server> serve(const Scene& scene) {
        return start_weir_broker(scene, weir_broker_name(scene), {"--direct", direct_size});
    }
    static Probed<QueuePeer> wire(const Scene& scene, std::uint64_t) {
        static int legs = 0;
        return QueuePeer(weir_broker_name(scene), ++legs);
    }
    Probed<Sender> sender(Way way) const { return Sender::open(broker_, name_of(way)); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        return Receiver::open(broker_, name_of(way), mode);
    }

private:
    QueuePeer(std::string broker, int leg) : broker_(std::move(broker)), leg_(leg) {}
    std::string name_of(Way way) const {
        return "queue://bench.pair-" + std::to_string(leg_) + "." + way_name(way);
    }

    std::string broker_;
    int leg_;
};

}  // namespace

std::vector<std::unique_ptr<System>> weir_systems() {
    std::vector<std::unique_ptr<System>> systems;
    systems.push_back(std::make_unique<WeirSystem>());
    systems.push_back(std::make_unique<PairSystem<QueuePeer>>());
    return systems;
}

}  // namespace weir::bench
