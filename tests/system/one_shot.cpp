// SPDX-License-Identifier: Apache-2.0
//
// Many senders of one message each, one after another, for the system tests: each connects, sends
// and closes in a process of its own, which is forked because starting a program costs more than
// all of that.
//
//   one_shot BROKER DESTINATION COUNT
//
// Message i is the text "i".
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <weir/weir.hpp>

namespace {

int send_one(const char* broker, const char* destination, long number) {
    auto session = weir::connect(broker);
    if (!session) return std::fprintf(stderr, "%s\n", session.error().sentence.c_str()), 1;
    auto producer = session->producer(destination);
    if (!producer) return std::fprintf(stderr, "%s\n", producer.error().sentence.c_str()), 1;
    if (!producer->send(std::to_string(number))) return 1;
    session->close();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const long count = std::atol(argv[3]);
    for (long number = 0; number < count; ++number) {
        const pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0) _exit(send_one(argv[1], argv[2], number));
        int status = 0;
        if (waitpid(child, &status, 0) != child || status != 0) {
            std::fprintf(stderr, "sender %ld failed\n", number);
            return 1;
        }
    }
    return 0;
}
