// SPDX-License-Identifier: Apache-2.0
//
// Many producers of one destination, each of which sends one message and sleeps. Says "ready" when
// all is sent; each line of its input makes each producer send one more, and it says "ready" again.
//
//   sleepers BROKER DESTINATION SESSIONS PRODUCERS
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <weir/weir.hpp>

namespace {

int give_up(const std::string& sentence) {
    std::fprintf(stderr, "sleepers: %s\n", sentence.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return give_up("BROKER DESTINATION SESSIONS PRODUCERS");
    const auto number = [argv](int at) { return std::strtoul(argv[at], nullptr, 10); };
    std::vector<weir::Session> sessions;
    std::vector<weir::Producer> producers;
    for (unsigned long session = 0; session < number(3); ++session) {
        auto made = weir::connect(argv[1]);
        if (!made) return give_up(made.error().sentence);
        sessions.push_back(std::move(*made));
        for (unsigned long each = 0; each < number(4); ++each) {
            auto producer = sessions.back().producer(argv[2]);
            if (!producer) return give_up(producer.error().sentence);
            producers.push_back(std::move(*producer));
        }
    }
    int read = 0;
    do {
        for (weir::Producer& producer : producers)
            if (!producer.send("one")) return give_up("a message was not sent");
        std::puts("ready");
        std::fflush(stdout);
        while ((read = std::getchar()) != EOF && read != '\n') {
        }
    } while (read != EOF);
    return 0;
}
