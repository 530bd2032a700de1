# SPDX-License-Identifier: Apache-2.0
"""Full memory of each kind: what does not fit waits or is refused with a reason, the rest goes on.

ONE_SHOT sends many messages, each by a process of its own.
"""
import os
import subprocess

import stage
from stage import FAILED, LIMIT, OK, until

ONE_SHOT = os.environ["ONE_SHOT"]


class Limits(stage.SystemTest):
    def test_ten_thousand_senders_one_after_another_arrive_in_order_and_cost_a_few_pages(self):
        broker = self.broker()
        subprocess.run([ONE_SHOT, broker.name, "queue://many", "10000"], check=True, timeout=55)
        seen = broker.stat()
        books = next(each for each in seen["destinations"] if each["name"] == "queue://many")
        self.assertEqual((books["messages_in"], books["depth_messages"]), (10_000, 10_000))
        # 16 bytes each: 40 pages of 4 KiB with their headers.
        self.assertLessEqual(books["direct_bytes"], 64 * 4096)
        self.assertLessEqual(len([each for each in seen["lanes"]
                                  if each["destination"] == "queue://many"]), 4)
        self.same(broker.drain("queue://many"), [b"%d" % number for number in range(10_000)])
        self.assertLessEqual(broker.destination("queue://many")["direct_bytes"], 4 * 4096)

    def test_a_hundred_commands_one_after_another_arrive_in_order(self):
        broker = self.broker()
        for number in range(100):
            broker.send("queue://commands", [b"%d" % number])
        self.same(broker.drain("queue://commands"), [b"%d" % number for number in range(100)])

    def test_full_direct_memory_makes_a_sender_wait_and_says_why(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        done = broker.weir("send", "queue://full", "--count", "20000", "--size", "1000",
                           "--timeout", "500ms")
        self.check(done, LIMIT, "direct")
        self.assertRegex(done.stderr, rb"most is held: .* in queue://full of .*\(pid \d+\)")
        self.assertIn(b"nobody consumes", done.stderr)
        seen = broker.stat()
        self.assertLessEqual(seen["direct"]["used"], seen["direct"]["capacity"])
        self.assertGreater(broker.destination("queue://full")["depth_messages"], 6000)

    def test_a_waiting_sender_goes_on_when_there_is_room_again(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        writer = self.spawn(broker, "send", "queue://wait", "--count", "20000", "--size", "1000")
        until(lambda: broker.destination("queue://wait").get("blocked_producers") == 1)
        self.assertIsNone(writer.poll())
        reader = broker.weir("recv", "queue://wait", "--count", "20000", "--timeout", "20s")
        self.assertEqual(reader.returncode, OK, reader.stderr)
        self.assertEqual(writer.wait(20), OK)
        self.assertEqual([int(line[:10]) for line in reader.stdout.splitlines()],
                         list(range(20000)))

    def test_a_signal_ends_a_sender_that_waits_for_room(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        writer = self.spawn(broker, "send", "queue://wait", "--count", "20000", "--size", "1000")
        until(lambda: broker.destination("queue://wait").get("blocked_producers") == 1)
        writer.terminate()
        self.assertEqual(writer.wait(20), FAILED)
        self.assertIn(b"signal", writer.stderr.read())

    def test_a_full_heap_refuses_new_clients_and_what_exists_goes_on(self):
        broker = self.broker("--direct", "32M", "--heap", "4M")
        reader = self.spawn(broker, "recv", "queue://steady", "--count", "2000")
        steady = self.spawn(broker, "send", "queue://steady", stdin=subprocess.PIPE)
        broker.await_consumers("queue://steady", 1)
        crowd, refused = [], None
        for number in range(3000):
            one = self.spawn(broker, "send", f"queue://crowd{number % 8}", stdin=subprocess.PIPE)
            crowd.append(one)
            if number % 16 == 15:
                ended = [each for each in crowd if each.poll() is not None]
                if ended:
                    refused = ended[0]
                    break
        self.assertIsNotNone(refused, "three thousand producers fitted into 4 MiB")
        self.assertEqual(refused.returncode, LIMIT)
        self.assertRegex(refused.stderr.read().decode(), r"weir send: .*--heap")
        lines = b"".join(b"%d\n" % number for number in range(2000))
        steady.communicate(lines, timeout=20)
        self.assertEqual(steady.returncode, OK)
        out, _ = reader.communicate(timeout=20)
        self.assertEqual(out, lines)
        for one in crowd:
            self.end_process(one)
        until(lambda: not broker.stat()["sessions"])
        broker.send("queue://crowd0", [b"fits again"])
        self.assertEqual(broker.drain("queue://crowd0"), [b"fits again"])

    def test_too_little_memory_at_the_start_is_an_error_with_the_cure(self):
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        done = broker.weir("broker", "--direct", "900T")
        self.assertNotEqual(done.returncode, OK)
        self.assertIn(b"--direct", done.stderr)
        self.assertEqual(stage.leftovers(broker.name), [])

    @stage.unittest.skipUnless(stage.ROOT, "only root can mount a small /dev/shm")
    def test_a_full_dev_shm_at_the_start_is_an_error_with_the_cure(self):
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size=256k tmpfs /dev/shm && exec "$0" broker --direct 32M',
             stage.PROGRAM], env={**os.environ, "WEIR_NAME": broker.name}, capture_output=True,
            timeout=30, check=False)
        if b"unshare" in done.stderr or b"mount" in done.stderr:
            self.skipTest("this container may not mount")
        self.check(done, FAILED, "/dev/shm", "--direct")
        self.assertEqual(stage.leftovers(broker.name), [])


if __name__ == "__main__":
    stage.main()
