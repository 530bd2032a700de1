// SPDX-License-Identifier: Apache-2.0
//
// Many destinations, each with one producer, one message and one consumer that has not read it yet.
// Says "ready", reads one message of each at "read", says how many came, and ends with its input.
//
//      many-destinations PREFIX COUNT       PREFIX: queue://x. or topic://x.
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

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return give_up("PREFIX COUNT");
    const auto count = std::strtoul(argv[2], nullptr, 10);
    auto session = weir::connect();
    if (!session) return give_up(session.error().sentence);
    std::vector<weir::Consumer> consumers;
    std::vector<weir::Producer> producers;
    for (unsigned long number = 0; number < count; ++number) {
        const std::string name = argv[1] + std::to_string(number);
        auto consumer = session->consumer(name);
        if (!consumer) return give_up(consumer.error().sentence);
        auto producer = session->producer(name);
        if (!producer) return give_up(producer.error().sentence);
        if (!producer->send(name)) return give_up("a message was not sent");
        consumers.push_back(std::move(*consumer));
        producers.push_back(std::move(*producer));
    }
    std::puts("ready");
    std::fflush(stdout);
    if (std::getchar() == EOF) return 0;
    unsigned long read = 0;
    for (unsigned long number = 0; number < count; ++number) {
        const auto message = consumers[number].receive(std::chrono::seconds(10));
        if (message && message->text() == argv[1] + std::to_string(number)) ++read;
    }
    std::printf("%lu\n", read);
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return 0;
}
