// SPDX-License-Identifier: Apache-2.0
//
// A real broker in a thread of the test, for clients of the public API. It takes a name of its own,
// so tests may run side by side.
#ifndef WEIR_TESTS_SUPPORT_BROKER_STAGE_HPP
#define WEIR_TESTS_SUPPORT_BROKER_STAGE_HPP

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>

#include "core/broker/daemon.hpp"
#include "core/protocol/places.hpp"
#include "weir/weir.hpp"

namespace weir::test {

class BrokerStage {
public:
    explicit BrokerStage(std::uint64_t direct_bytes = 16 << 20,
                         std::uint64_t largest_message = 4 << 20,
                         const broker::LimitOptions& limits = {}) {
        static std::atomic<int> count{0};
        broker::BrokerConfig config;
        config.name = "test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
        config.direct_bytes = direct_bytes;
        config.heap_bytes = 16 << 20;
        config.largest_message = largest_message;
        config.limits = limits;
        config.places = places_of(config.name).value();
        name = config.name;
        std::promise<void> ready;
        auto is_ready = ready.get_future();
        thread_ = std::thread([config, &ready] {
            auto ended = broker::run_broker(config, [&](const auto&) { ready.set_value(); });
            EXPECT_TRUE(ended) << ended.error().sentence;
        });
        is_ready.wait();
    }
    ~BrokerStage() { stop(); }
    BrokerStage(const BrokerStage&) = delete;
    BrokerStage& operator=(const BrokerStage&) = delete;

    Session connect() const { return std::move(weir::connect(name).value()); }

    StopReport stop() {
        StopReport report;
        if (!thread_.joinable()) return report;
        if (auto session = weir::connect(name)) {
            auto stopped = session->stop();
            EXPECT_TRUE(stopped) << stopped.error().sentence;
            if (stopped) report = *stopped;
        }
        thread_.join();
        return report;
    }

    std::string name;

private:
    std::thread thread_;
};

}  // namespace weir::test

#endif
