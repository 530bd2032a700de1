// SPDX-License-Identifier: Apache-2.0
//
// Many producers at once, for the system tests: processes that each have their share of them and
// send from all in turn, without waiting where there is no room.
//
//   crowd BROKER DESTINATION PRODUCERS BYTES_MAX MILLISECONDS
//
// Prints how many messages were accepted. Their sizes run from 1 to BYTES_MAX.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <weir/weir.hpp>

namespace {

constexpr std::size_t processes = 4;
constexpr std::size_t step = 997;  // a prime, so that sizes differ from producer to producer

struct Plan {
    const char* broker;
    const char* destination;
    std::size_t producers;
    std::size_t bytes_max;
    std::chrono::milliseconds time;
};

// How many were accepted; less than 0: it failed.
long run(const Plan& plan, std::size_t number) {
    auto session = weir::connect(plan.broker);
    if (!session) return std::fprintf(stderr, "%s\n", session.error().sentence.c_str()), -1;
    std::vector<weir::Producer> producers;
    for (std::size_t count = 0; count < plan.producers / processes; ++count) {
        auto producer = session->producer(plan.destination, {.on_full = weir::OnFull::fail});
        if (!producer) return std::fprintf(stderr, "%s\n", producer.error().sentence.c_str()), -1;
        producers.push_back(std::move(*producer));
    }
    const auto end = std::chrono::steady_clock::now() + plan.time;
    const std::string bytes(plan.bytes_max, 'c');
    long accepted = 0;
    for (std::size_t size = number; std::chrono::steady_clock::now() < end;) {
        for (weir::Producer& producer : producers) {
            size = (size + step) % plan.bytes_max;
            auto sent = producer.send(std::string_view(bytes).substr(0, size + 1));
            if (sent)
                ++accepted;
            else if (sent.error() != weir::SendError::no_grant)
                return std::fprintf(stderr, "%s\n", weir::sentence(sent.error()).data()), -1;
        }
    }
    return accepted;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) return 2;
    const Plan plan{argv[1], argv[2], static_cast<std::size_t>(std::atol(argv[3])),
                    static_cast<std::size_t>(std::atol(argv[4])),
                    std::chrono::milliseconds(std::atol(argv[5]))};
    int ends[2];
    if (pipe(ends) != 0) return 1;
    for (std::size_t number = 0; number < processes; ++number) {
        const pid_t child = fork();
        if (child < 0) return 1;
        if (child != 0) continue;
        const long accepted = run(plan, number);
        _exit(write(ends[1], &accepted, sizeof accepted) != sizeof accepted);
    }
    long sum = 0;
    for (std::size_t number = 0; number < processes; ++number) {
        long accepted = -1;
        int status = 0;
        if (wait(&status) < 0 || status != 0) return 1;
        if (read(ends[0], &accepted, sizeof accepted) != sizeof accepted || accepted < 0) return 1;
        sum += accepted;
    }
    std::printf("%ld\n", sum);
    return 0;
}
