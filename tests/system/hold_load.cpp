// SPDX-License-Identifier: Apache-2.0
//
// A load that stands: so many connections, each with so many sessions (open producers), each with
// so many messages that nobody consumes. Says "ready" when all is sent, and ends with its input.
//
//      hold-load CONNECTIONS SESSIONS MESSAGES SIZE
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "weir/weir.hpp"

namespace {

int give_up(const std::string& sentence) {
    std::fprintf(stderr, "hold-load: %s\n", sentence.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return give_up("CONNECTIONS SESSIONS MESSAGES SIZE");
    const auto number = [argv](int at) { return std::strtoul(argv[at], nullptr, 10); };
    const std::vector<std::byte> payload(number(4), std::byte{'x'});
    std::vector<weir::Session> sessions;
    std::vector<weir::Producer> producers;
    for (unsigned long connection = 0; connection < number(1); ++connection) {
        auto made = weir::connect();
        if (!made) return give_up(made.error().sentence);
        sessions.push_back(std::move(*made));
        for (unsigned long session = 0; session < number(2); ++session) {
            auto producer = sessions.back().producer("queue://load.c" + std::to_string(connection) +
                                                     ".s" + std::to_string(session));
            if (!producer) return give_up(producer.error().sentence);
            for (unsigned long message = 0; message < number(3); ++message)
                if (auto sent = producer->send(payload); !sent)
                    return give_up("a message was not sent");
            producers.push_back(std::move(*producer));
        }
    }
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != EOF) {
    }
    return 0;
}
