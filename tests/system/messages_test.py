# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out: lines, files, queues, topics, and what the books say about them."""
import os
import random
import subprocess
import time

import stage
from stage import FAILED, OK, lines_of, until


def numbered(count, prefix=b""):
    return [prefix + b"%d" % number for number in range(count)]


class Messages(stage.SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = stage.Broker("--direct", "64M", "--heap", "16M").start()

    @classmethod
    def tearDownClass(cls):
        cls.clear(cls.shared)

    def setUp(self):
        self.queue = f"queue://{self._testMethodName[5:60]}"
        self.topic = f"topic://{self._testMethodName[5:60]}"

    def collect(self, destination, count, *options, **more):
        """A receiver that runs; outcome() ends it and gives its lines."""
        process = self.spawn(self.shared, "recv", destination, "--count", str(count),
                             "--timeout", "30s", *options, **more)
        return process

    def outcome(self, process):
        out, error = process.communicate(timeout=40)
        self.assertEqual(process.returncode, OK, error)
        return lines_of(out)

    def test_lines_are_binary_safe(self):
        lines = [bytes(byte for byte in range(256) if byte != 10), b"", b"\0", b"\r", b"last"]
        done = self.shared.weir("send", self.queue, stdin=b"\n".join(lines))
        self.assertEqual(done.returncode, OK, done.stderr)
        received = self.shared.weir("recv", self.queue, "--drain")
        self.assertEqual(received.stdout, b"\n".join(lines) + b"\n")

    def test_empty_input_sends_nothing(self):
        self.assertEqual(self.shared.weir("send", self.queue).returncode, OK)
        self.assertEqual(self.shared.drain(self.queue), [])

    def test_lines_of_all_lengths_arrive_in_order(self):
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}")
        chance = random.Random(seed)
        lengths = [0, 1, 7, 8, 4015, 4016, 4017, 4096, 65535, 65536, 65537, 1 << 20, 5 << 20]
        lengths += [int(chance.paretovariate(0.4)) % 200_000 for _ in range(300)]
        chance.shuffle(lengths)
        lines = [chance.randbytes(length).replace(b"\n", b"N") for length in lengths]
        self.shared.send(self.queue, lines)
        self.same(self.shared.drain(self.queue), lines)

    def test_a_line_as_long_as_the_largest_message_passes(self):
        line = b"x" * self.shared.stat()["broker"]["largest_message"]
        self.shared.send(self.queue, [line])
        self.same(self.shared.drain(self.queue), [line])

    def test_many_lines_pass_while_they_are_read(self):
        lines = numbered(200_000)
        out = self.folder() / "out"
        with open(out, "wb") as file:
            reader = self.collect(self.queue, len(lines), stdout=file)
        self.shared.send(self.queue, lines)
        self.assertEqual(reader.wait(40), OK)
        self.same(lines_of(out.read_bytes()), lines)

    def test_order_is_kept_per_producer_when_several_send(self):
        reader = self.collect(self.queue, 4 * 3000)
        writers = [self.spawn(self.shared, "send", self.queue, stdin=subprocess.PIPE)
                   for _ in range(4)]
        for number, writer in enumerate(writers):
            with writer.stdin as lines:
                lines.write(b"".join(b"%d %d\n" % (number, at) for at in range(3000)))
        seen = [line.split() for line in self.outcome(reader)]
        for number in range(4):
            mine = [int(at) for who, at in seen if int(who) == number]
            self.assertEqual(mine, list(range(3000)))

    def test_a_queue_gives_each_message_to_one_of_its_consumers(self):
        folder = self.folder()
        readers = []
        for number in range(3):
            with open(folder / str(number), "wb") as file:
                readers.append(self.spawn(self.shared, "recv", self.queue, stdout=file))
        self.shared.await_consumers(self.queue, 3)
        self.shared.send(self.queue, numbered(30_000))
        until(lambda: self.shared.destination(self.queue)["depth_messages"] == 0)
        for reader in readers:
            reader.terminate()
            self.assertEqual(reader.wait(20), OK)
        got = [lines_of((folder / str(number)).read_bytes()) for number in range(3)]
        self.assertEqual(sorted(got[0] + got[1] + got[2]), sorted(numbered(30_000)))
        for each in got:
            self.assertEqual(each, sorted(each, key=int), "order is kept for each consumer")

    def test_a_topic_gives_everything_to_every_subscriber_from_then_on(self):
        self.shared.send(self.topic, [b"before anybody listened"])
        readers = [self.collect(self.topic, 2000) for _ in range(3)]
        self.shared.await_consumers(self.topic, 3)
        self.shared.send(self.topic, numbered(2000))
        for reader in readers:
            self.assertEqual(self.outcome(reader), numbered(2000))

    def test_wildcards_receive_from_topics_that_match_also_from_those_to_come(self):
        base = "topic://wild" + str(os.getpid())
        one_word = self.collect(f"{base}.*", 2)
        the_rest = self.collect(f"{base}.>", 3)
        until(lambda: len([each for each in self.shared.stat()["subscriptions"]
                           if each["pattern"].startswith(base)]) == 2)
        for name, text in (("a", b"1"), ("a.b", b"2"), ("c", b"3")):
            self.shared.send(f"{base}.{name}", [text])
        self.assertEqual(sorted(self.outcome(one_word)), [b"1", b"3"])
        self.assertEqual(sorted(self.outcome(the_rest)), [b"1", b"2", b"3"])

    def test_generated_messages_have_their_size_and_number(self):
        done = self.shared.weir("send", self.queue, "--count", "300", "--size", "1k".upper())
        self.assertEqual(done.returncode, OK, done.stderr)
        lines = self.shared.drain(self.queue)
        self.assertEqual([len(line) for line in lines], [1024] * 300)
        self.assertEqual([int(line.split()[0]) for line in lines], list(range(300)))
        small = self.shared.weir("send", self.queue, "--count", "2", "--size", "0")
        self.assertEqual(small.returncode, OK, small.stderr)
        self.assertEqual(self.shared.drain(self.queue), [b"", b""])

    def test_a_rate_is_kept(self):
        began = time.monotonic()
        done = self.shared.weir("send", self.queue, "--count", "101", "--rate", "100")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertGreaterEqual(time.monotonic() - began, 1.0)

    def test_the_books_are_exact_after_known_traffic(self):
        self.shared.send(self.queue, [b"x" * 100] * 1000)
        self.shared.weir("recv", self.queue, "--count", "990")
        books = self.shared.destination(self.queue)
        self.assertEqual((books["messages_in"], books["messages_out"]), (1000, 990))
        self.assertEqual((books["depth_messages"], books["depth_bytes"]), (10, 1000))
        self.assertEqual((books["producers"], books["consumers"]), (0, 0))
        self.assertGreater(books["direct_bytes"], 0)
        self.shared.drain(self.queue)
        books = self.shared.destination(self.queue)
        self.assertEqual((books["messages_out"], books["depth_messages"]), (1000, 0))

    def test_a_reader_of_one_line_loses_nothing(self):
        self.shared.send(self.queue, numbered(1000))
        first = subprocess.run(
            f"'{stage.PROGRAM}' recv --name {self.shared.name} {self.queue} | head -1", shell=True,
            capture_output=True, timeout=30, check=False)
        self.assertEqual(first.stdout, b"0\n", first.stderr)
        self.assertEqual(self.shared.drain(self.queue), numbered(1000)[1:])

    def test_a_pipe_holds_one_message_which_is_not_lost_when_its_reader_leaves(self):
        self.shared.send(self.queue, numbered(10))
        reader = self.spawn(self.shared, "recv", self.queue)
        self.assertEqual(os.read(reader.stdout.fileno(), 4096), b"0\n")
        time.sleep(0.3)                 # the next one waits in the pipe
        reader.stdout.close()
        self.assertEqual(reader.wait(20), OK)
        self.same(self.shared.drain(self.queue), numbered(10)[1:])

    def test_a_reader_that_leaves_in_the_middle_of_a_large_message_loses_nothing(self):
        large = [b"a" * 300_000, b"b" * 300_000]
        self.shared.send(self.queue, large)
        reader = self.spawn(self.shared, "recv", self.queue)
        self.assertEqual(reader.stdout.read(10), b"a" * 10)
        reader.stdout.close()
        self.assertEqual(reader.wait(20), OK)
        self.same(self.shared.drain(self.queue), large)

    def test_a_full_disk_under_the_output_loses_nothing(self):
        self.shared.send(self.queue, numbered(5000))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([stage.PROGRAM, "recv", "--name", self.shared.name, self.queue,
                                   "--drain"], stdout=full, stderr=subprocess.PIPE, check=False,
                                  timeout=30)
        self.check(done, FAILED, "ENOSPC")
        self.same(self.shared.drain(self.queue), numbered(5000))

    def test_a_signal_ends_a_receiver_that_waits_with_what_it_put_out(self):
        reader = self.spawn(self.shared, "recv", self.queue)
        self.shared.await_consumers(self.queue, 1)
        self.shared.send(self.queue, [b"one"])
        self.assertEqual(reader.stdout.readline(), b"one\n")
        reader.terminate()
        self.assertEqual(reader.wait(20), OK)
        self.assertEqual(self.shared.drain(self.queue), [])

    def test_a_signal_ends_a_sender_that_waits_for_input(self):
        writer = self.spawn(self.shared, "send", self.queue, stdin=subprocess.PIPE)
        writer.stdin.write(b"one\ntwo")
        writer.stdin.flush()
        until(lambda: self.shared.destination(self.queue)["messages_in"] == 1)
        writer.terminate()
        self.assertEqual(writer.wait(20), OK)
        self.assertEqual(self.shared.drain(self.queue), [b"one"])

    def test_nothing_but_data_goes_to_standard_output(self):
        done = self.shared.weir("send", self.queue, stdin=b"x\n")
        self.assertEqual((done.stdout, done.stderr), (b"", b""))
        done = self.shared.weir("recv", self.queue, "--drain")
        self.assertEqual((done.stdout, done.stderr), (b"x\n", b""))


if __name__ == "__main__":
    stage.main()
