// SPDX-License-Identifier: Apache-2.0
//
// What stands in a column of the table: something that can run cells.
//
// Weir is a system, the machine's own limits are, and every peer is one, in a file of its own. A
// peer says with which settings it runs: those that its own documentation or our trying showed to
// be its fastest for this use. It decides which cells it has; a cell that it has may still fail,
// which is reported and does not stop the run.
#ifndef WEIR_BENCH_PEERS_SYSTEM_HPP
#define WEIR_BENCH_PEERS_SYSTEM_HPP

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/scenarios/carrier.hpp"
#include "bench/scenarios/measured.hpp"
#include "bench/scenarios/one_to_one.hpp"
#include "bench/scenarios/open_loop.hpp"
#include "bench/scenarios/ping_pong.hpp"
#include "bench/scenarios/server.hpp"

namespace weir::bench {

enum class Kind {
    limit,       // of the machine: nothing carries messages faster
    weir,        //
    single,      // a peer whose sender hands over message by message
    coalescing,  // a peer whose sender gathers messages
};

class System {
public:
    virtual ~System() = default;

    virtual std::string name() const = 0;
    virtual Kind kind() const = 0;
    virtual std::string settings() const = 0;
    virtual bool has(const Cell& cell) const = 0;

    // Once per round, before and after its cells: what serves it.
    virtual Probed<void> begin(const Scene&) { return {}; }
    virtual void end() {}

    virtual Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t count) = 0;
};

// A system that is a carrier. `Carrier` also says: name, settings, kind, the modes that it has, and
// the largest message; `Carrier::serve(scene)` starts its server, if it has one.
template <class Carrier>
class PairSystem final : public System {
public:
    std::string name() const override { return std::string(Carrier::name); }
    Kind kind() const override { return Carrier::kind; }
    std::string settings() const override { return std::string(Carrier::settings); }

    bool has(const Cell& cell) const override {
        const bool mode = (cell.mode == Mode::spin && Carrier::spins) ||
                          (cell.mode == Mode::park && Carrier::parks);
        // What gathers messages has no round trip of its own: it would send each at once.
        const bool scenario = cell.scenario == "one_to_one" ||
                              (Carrier::round_trips &&
                               (cell.scenario == "ping_pong" || cell.scenario == "open_loop"));
        return mode && scenario && cell.size <= Carrier::bytes_max;
    }

    Probed<void> begin(const Scene& scene) override {
        if constexpr (requires { Carrier::serve(scene); }) {
            auto server = Carrier::serve(scene);
            if (!server) return fail(server.error());
            server_ = std::make_unique<Server>(std::move(*server));
        }
        return {};
    }
    void end() override {
        server_.reset();
        if constexpr (requires { Carrier::clear(); }) Carrier::clear();
    }

    Probed<Measured> run(const Scene& scene, const Cell& cell, std::uint64_t count) override {
        if (cell.scenario == "ping_pong") return ping_pong_scenario<Carrier>(scene, cell, count);
        if (cell.scenario == "open_loop") return open_loop_scenario<Carrier>(scene, cell, count);
        return one_to_one_scenario<Carrier>(scene, cell, count);
    }

private:
    std::unique_ptr<Server> server_;
};

// What most peers say of themselves; each overrides where it differs.
struct PeerTraits {
    static constexpr Kind kind = Kind::single;
    static constexpr bool spins = true;
    static constexpr bool parks = true;
    static constexpr bool round_trips = true;
    static constexpr std::uint64_t bytes_max = 1ULL << 20;
    static constexpr std::uint64_t warm_up_bytes = 0;
    static constexpr std::uint64_t bytes_min = 0;
};

// All peers that this build has, generated from bench/meson.build.
std::vector<std::unique_ptr<System>> built_peers();

}  // namespace weir::bench

#endif  // WEIR_BENCH_PEERS_SYSTEM_HPP
