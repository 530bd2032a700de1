// SPDX-License-Identifier: Apache-2.0
//
// So many destinations with one producer and one consumer each, all in one process and session. One
// message goes through each. Then it says what that took and stands until its input ends.
//
//      many-destinations COUNT SCHEME
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "weir/weir.hpp"

namespace {

int give_up(const std::string& sentence) {
    std::fprintf(stderr, "many-destinations: %s\n", sentence.c_str());
    return 1;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return give_up("COUNT SCHEME");
    const unsigned long count = std::strtoul(argv[1], nullptr, 10);
    auto session = weir::connect();
    if (!session) return give_up(session.error().sentence);
    std::vector<weir::Producer> producers;
    std::vector<weir::Consumer> consumers;
    const auto began = std::chrono::steady_clock::now();
    for (unsigned long number = 0; number < count; ++number) {
        const std::string name = std::string(argv[2]) + "://many." + std::to_string(number);
        auto producer = session->producer(name);
        if (!producer) return give_up(producer.error().sentence);
        producers.push_back(std::move(*producer));
        auto consumer = session->consumer(name);
        if (!consumer) return give_up(consumer.error().sentence);
        consumers.push_back(std::move(*consumer));
    }
    const double opening = seconds_since(began);
    unsigned long received = 0;
    for (unsigned long number = 0; number < count; ++number) {
        const std::string text = "message " + std::to_string(number);
        if (!producers[number].send(text)) return give_up("a message was not sent");
        auto message = consumers[number].receive(std::chrono::seconds(10));
        if (message && message->text() == text) ++received;
    }
    std::printf("%lu %.3f %.3f\n", received, opening, seconds_since(began) - opening);
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return 0;
}
