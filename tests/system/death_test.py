# SPDX-License-Identifier: Apache-2.0
"""Clients that are killed in the middle: nothing is lost or comes twice unmarked, nobody hangs.

RECEIVE_MARKED is a consumer that shows whether a message was flagged as redelivered.
"""
import os
import random
import signal
import subprocess
import time

import stage
from stage import OK, until

RECEIVE_MARKED = os.environ["RECEIVE_MARKED"]


class Death(stage.SystemTest):
    def marked(self, broker, destination, prefetch, timeout_ms, *options):
        process = subprocess.Popen([RECEIVE_MARKED, broker.name, destination, str(prefetch),
                                    str(timeout_ms), *options],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.end_process, process)
        return process

    @staticmethod
    def parse(output):
        """[(flag, text)], without a line that a kill cut off."""
        whole = output[:output.rfind(b"\n") + 1]
        return [line.split(b" ", 1) for line in whole.splitlines()]

    def test_what_a_killed_consumer_held_comes_again_in_order_and_is_marked(self):
        broker = self.broker()
        broker.send("queue://held", [b"%d" % number for number in range(50)])
        holder = self.marked(broker, "queue://held", 20, 10_000, "hold")
        seen = [holder.stdout.readline().split() for _ in range(20)]
        self.assertEqual(seen, [[b"first", b"%d" % number] for number in range(20)])
        holder.kill()
        holder.wait()
        rest = self.marked(broker, "queue://held", 100, 500)
        out, error = rest.communicate(timeout=30)
        self.assertEqual(rest.returncode, OK, error)
        self.assertEqual(self.parse(out),
                         [[b"again", b"%d" % number] for number in range(20)] +
                         [[b"first", b"%d" % number] for number in range(20, 50)])

    def test_consumers_killed_at_random_lose_nothing_and_repeat_only_what_is_marked(self):
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}")
        chance = random.Random(seed)
        broker = self.broker()
        total = 60_000
        writer = self.spawn(broker, "send", "queue://torn", "--count", str(total), "--size", "40",
                            "--rate", "20000")
        steady = self.marked(broker, "queue://torn", 50, 3000)
        outputs = []
        while writer.poll() is None:
            victim = self.marked(broker, "queue://torn", chance.choice([1, 10, 200]), 3000)
            time.sleep(chance.uniform(0.01, 0.15))
            victim.kill()
            outputs.append(victim.communicate(timeout=20)[0])
        self.assertEqual(writer.returncode, OK)
        outputs.append(steady.communicate(timeout=40)[0])
        lines = [line for output in outputs for line in self.parse(output)]
        first = [int(text.split()[0]) for flag, text in lines if flag == b"first"]
        again = {int(text.split()[0]) for flag, text in lines if flag == b"again"}
        self.assertEqual(len(first), len(set(first)), "a message came twice without a mark")
        # A victim may die between taking a message and printing it: then it comes again, marked.
        self.assertEqual(set(first) | again, set(range(total)))
        self.assertGreater(len(again), 0, "no consumer was killed while it held something")
        self.assertEqual(broker.destination("queue://torn")["depth_messages"], 0)

    def test_a_producer_killed_in_the_middle_disturbs_nobody(self):
        broker = self.broker()
        out = self.folder() / "out"
        with open(out, "wb") as file:
            reader = self.spawn(broker, "recv", "queue://shared", "--follow", stdout=file)
        steady = self.spawn(broker, "send", "queue://shared", "--count", "60000", "--size", "30",
                            "--rate", "30000")
        victims = 0
        while steady.poll() is None:
            victim = self.spawn(broker, "send", "queue://shared", "--count", "10000000",
                                "--size", "3000", stdin=subprocess.DEVNULL)
            time.sleep(0.1)
            victim.kill()
            victim.wait()
            victims += 1
        self.assertEqual(steady.returncode, OK, steady.stderr.read())
        until(lambda: broker.destination("queue://shared")["depth_messages"] == 0, 40)
        reader.terminate()
        self.assertEqual(reader.wait(20), OK)
        lines = out.read_bytes().splitlines()
        mine = [int(line[:10]) for line in lines if len(line) == 30]
        self.assertEqual(mine, list(range(60000)), "the other producer's messages, in order")
        # What the victims had sent is whole, and in order from 0 for each of them.
        theirs = [line for line in lines if len(line) != 30]
        self.assertTrue(all(len(line) == 3000 for line in theirs))
        numbers = [int(line[:10]) for line in theirs]
        self.assertLessEqual(numbers.count(0), victims)
        self.assertGreater(len(numbers), 0)
        self.assertEqual(broker.stat()["sessions"], [])

    def test_everything_a_killed_client_held_is_freed(self):
        broker = self.broker()
        broker.send("queue://warm", [b"x"])
        broker.drain("queue://warm")
        before = broker.stat()
        for _ in range(20):
            reader = self.spawn(broker, "recv", "queue://warm", stdout=subprocess.DEVNULL)
            writer = self.spawn(broker, "send", "queue://other", stdin=subprocess.PIPE)
            until(lambda: len(broker.stat()["sessions"]) == 2)
            reader.kill()
            writer.kill()
            until(lambda: not broker.stat()["sessions"])
        after = broker.stat()
        self.assertEqual(after["subscriptions"], [])
        # A page for each of the two destinations' lanes may stay with them.
        self.assertLessEqual(after["direct"]["used"], before["direct"]["used"] + 2 * 4096)
        self.assertLessEqual(after["heap"]["used"], before["heap"]["used"] + 256 * 1024)

    def test_a_stopped_consumer_hangs_nobody_else(self):
        broker = self.broker()
        stuck = self.marked(broker, "queue://two", 10, 60_000)
        broker.await_consumers("queue://two", 1)
        os.kill(stuck.pid, signal.SIGSTOP)
        broker.send("queue://two", [b"%d" % number for number in range(1000)])
        reader = broker.weir("recv", "queue://two", "--count", "900", "--timeout", "20s")
        self.assertEqual(reader.returncode, OK, reader.stderr)
        os.kill(stuck.pid, signal.SIGCONT)


if __name__ == "__main__":
    stage.main()
