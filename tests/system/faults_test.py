# SPDX-License-Identifier: Apache-2.0
"""Producers and consumers die in random order while limits are hit: the books stay exact, and no
limit is passed.

The pages that lanes lead to are counted each millisecond, from outside and without the books
(stage.py). `weir doctor` recounts everything meanwhile and in the end. WEIR_FAULT_SECONDS sets how
long it goes on (a minute is the full length), WEIR_FAULT_SEED replays a run's choices.

What this does not prove: every order of deaths, nor deaths between two chosen instructions; for
those there are kill points.
"""
import json
import os
import random
import subprocess
import time

import stage
from stage import OK, until

SECONDS = float(os.environ.get("WEIR_FAULT_SECONDS", "15"))
SEED = int(os.environ.get("WEIR_FAULT_SEED", random.randrange(1 << 32)))
PRODUCERS, CONSUMERS = 6, 4
QUEUES = ["queue://first", "queue://second", "queue://third"]
TOPIC = "topic://all"

stage.tap.TIMEOUT_S = int(SECONDS) + 90


class Faults(stage.SystemTest):
    def producer(self, broker, chance):
        size = chance.choice(["10", "100", "1000", "5000", "200000"])
        destination = chance.choice(QUEUES + [TOPIC])
        return self.spawn(broker, "send", destination, "--count", "100000000", "--size", size,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def consumer(self, broker, chance):
        destination = chance.choice(QUEUES + [TOPIC])
        # Through a narrow pipe that is read slowly or not at all: memory fills up.
        return self.spawn(broker, "recv", destination, "--follow",
                          stdout=subprocess.DEVNULL if chance.random() < 0.6 else subprocess.PIPE,
                          stderr=subprocess.DEVNULL)

    def doctor(self, broker):
        done = broker.weir("doctor", "--json")
        found = json.loads(done.stdout)
        self.assertEqual((found["drift"], found["differences"]), (0, []), done.stdout.decode())
        self.assertEqual(done.returncode, OK, done.stdout.decode())
        return found

    def run_faults(self, broker, chance):
        """Lets processes come and die; how often somebody waited for memory, and doctor's looks."""
        producers, consumers, waited, looks, killed = [], [], 0, 0, 0
        began = looked = time.monotonic()
        while time.monotonic() - began < SECONDS:
            while len(producers) < PRODUCERS:
                producers.append(self.producer(broker, chance))
            while len(consumers) < CONSUMERS:
                consumers.append(self.consumer(broker, chance))
            time.sleep(chance.uniform(0.005, 0.15))
            group = producers if chance.random() < 0.5 else consumers
            victim = group.pop(chance.randrange(len(group)))
            self.end_process(victim)
            killed += 1
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                self.doctor(broker)
                looks += 1
                waited += any(each["blocked_producers"] for each in broker.stat()["destinations"])
        for process in producers + consumers:
            self.end_process(process)
        return killed, waited, looks

    def test_books_stay_exact_and_limits_hold_while_everybody_dies_in_random_order(self):
        print(f"# seed {SEED}, {SECONDS} s")
        chance = random.Random(SEED)
        broker = self.broker("--direct", "8M", "--heap", "16M")
        end = self.watch(broker)
        killed, waited, looks = self.run_faults(broker, chance)
        until(lambda: not broker.stat()["sessions"])
        seen = end()
        print(f"# killed {killed}, doctor looked {looks} times, producers waited in {waited} of "
              f"them, {seen['samples']} samples, {seen['missed']} missed, highest "
              f"{seen['highest']}")
        self.assertEqual(seen["over"], 0, seen["first_over"])
        # A sampler that hardly got a look, or memory that was never short, would prove nothing.
        self.assertGreater(seen["samples"], 100)
        self.assertGreater(seen["highest"], (8 << 20) * 0.9, "no limit was hit")
        self.assertGreater(waited, 0, "nobody ever waited")
        found = self.doctor(broker)
        self.assertFalse(found["moving"], found["movements"])
        # Since the start, not only now, and by the broker's own recount.
        self.assertEqual(found["self_count"]["drifts"], 0)
        self.assertGreater(found["self_count"]["passes"], 0)


if __name__ == "__main__":
    stage.main()
