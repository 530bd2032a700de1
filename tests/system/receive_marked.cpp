// SPDX-License-Identifier: Apache-2.0
//
// A consumer for the system tests that shows what `weir recv` does not: each message on a line of
// its own behind "first" or "again" (flagged as redelivered). It acknowledges a message after it
// printed it.
//
//   receive_marked BROKER DESTINATION PREFETCH TIMEOUT_MS [hold]
//
// With `hold` it never acknowledges: a consumer that is about to die.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <weir/weir.hpp>

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    const bool hold = argc > 5 && std::strcmp(argv[5], "hold") == 0;
    auto session = weir::connect(argv[1]);
    if (!session) return std::fputs(session.error().sentence.c_str(), stderr), 1;
    weir::ConsumerOptions options;
    options.prefetch = static_cast<std::uint32_t>(std::atoi(argv[3]));
    options.acknowledge = weir::Acknowledge::cumulative;
    auto consumer = session->consumer(argv[2], options);
    if (!consumer) return std::fputs(consumer.error().sentence.c_str(), stderr), 1;
    const std::chrono::milliseconds timeout(std::atoi(argv[4]));
    while (auto message = consumer->receive(timeout)) {
        const std::string_view text = message->text();
        std::printf("%s %.*s\n", message->redelivered() ? "again" : "first",
                    static_cast<int>(text.size()), text.data());
        std::fflush(stdout);
        if (!hold) message->acknowledge();
    }
    if (hold) std::printf("full\n");
    return 0;
}
