# SPDX-License-Identifier: Apache-2.0
"""Full memory of each kind: what does not fit waits or is refused with a reason, the rest goes on.

ONE_SHOT sends many messages, each by a process of its own; CROWD sends from many producers at once;
SLEEPERS are many producers that send one message each and sleep; what each destination holds is
watched from outside, without the books (stage.py).
"""
import os
import subprocess

import stage
from stage import FAILED, LIMIT, OK, until

ONE_SHOT = os.environ["ONE_SHOT"]
CROWD = os.environ["CROWD"]
SLEEPERS = os.environ["SLEEPERS"]
MIB = 1 << 20


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

    def test_statistics_say_who_waits_at_which_limit_and_who_holds_most(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        self.set_policy(broker, "queue://full", "limit=1MiB")
        writer = self.spawn(broker, "send", "queue://full", "--count", "20000", "--size", "1000")
        until(lambda: broker.destination("queue://full").get("blocked_producers") == 1)
        shortage = broker.destination("queue://full")["shortage"]
        self.assertEqual(shortage["level"], "destination")
        self.assertIn("limit", shortage["reason"])
        self.assertEqual(shortage["capacity"], MIB)
        self.assertGreater(shortage["used"], 0.9 * MIB)
        self.assertGreater(shortage["since_ns"], 0)
        self.assertEqual([(each["pid"], each["destination"]) for each in shortage["holders"]],
                         [(writer.pid, "queue://full")])
        self.assertRegex(broker.weir("stat").stdout.decode(),
                         rf"queue://full +the destination is at its limit .*\(pid {writer.pid}\)")
        self.spawn(broker, "recv", "queue://full", "--follow", stdout=subprocess.DEVNULL)
        until(lambda: broker.destination("queue://full")["shortage"] is None)

    def set_policy(self, broker, pattern, *settings):
        done = broker.weir("policy", "set", pattern, *settings)
        self.assertEqual(done.returncode, OK, done.stderr)

    @staticmethod
    def crowd(broker, destination, producers=1000, bytes_max=9000, milliseconds=2000):
        """How many messages that many producers could send in that time."""
        done = subprocess.run([CROWD, broker.name, destination, str(producers), str(bytes_max),
                               str(milliseconds)], check=True, timeout=100, capture_output=True)
        return int(done.stdout)

    def test_a_thousand_producers_cannot_bring_a_destination_over_its_limit_by_a_byte(self):
        broker = self.broker("--direct", "64M", "--heap", "64M")
        self.set_policy(broker, "queue://crowd", "limit=2MiB")
        end = self.watch(broker)
        accepted = self.crowd(broker, "queue://crowd")
        for _ in range(4):  # a busy machine
            if broker.destination("queue://crowd")["direct_bytes"] > MIB:
                break
            accepted += self.crowd(broker, "queue://crowd")
        self.assertGreater(broker.destination("queue://crowd")["direct_bytes"], MIB)
        self.assertEqual(broker.destination("queue://crowd")["depth_messages"], accepted)
        # While it is full, nobody else is held up; and again while a consumer makes room.
        done = broker.weir("send", "queue://other", "--count", "5000", "--size", "1000",
                           "--timeout", "10s")
        self.assertEqual(done.returncode, OK, done.stderr)
        reader = self.spawn(broker, "recv", "queue://crowd", "--follow", stdout=subprocess.DEVNULL)
        accepted += self.crowd(broker, "queue://crowd")
        until(lambda: broker.destination("queue://crowd")["messages_out"] == accepted)
        self.end_process(reader)
        seen = end()
        most = seen["most"]
        self.assertLessEqual(most["queue://crowd"], 2 * MIB)
        self.assertGreater(most["queue://crowd"], MIB, "it never came near its limit")
        self.assertGreater(most["queue://other"], 4 * MIB)
        self.assertGreater(seen["samples"], 100)

    def test_a_crowd_cannot_bring_the_broker_over_its_memory(self):
        broker = self.broker("--direct", "4M", "--heap", "64M")
        end = self.watch(broker)
        reader = self.spawn(broker, "recv", "queue://crowd", "--follow", stdout=subprocess.DEVNULL)
        broker.await_consumers("queue://crowd", 1)
        accepted = self.crowd(broker, "queue://crowd", producers=400)
        until(lambda: broker.destination("queue://crowd")["messages_out"] == accepted)
        self.end_process(reader)
        seen = end()
        self.assertLessEqual(seen["highest"], 4 * MIB)
        self.assertGreater(seen["highest"], 2 * MIB)

    def test_a_reserve_is_there_although_an_idle_queue_has_filled_the_rest(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        self.set_policy(broker, "queue://promised", "reserve=2MiB")
        done = broker.weir("send", "queue://idle", "--count", "20000", "--size", "1000",
                           "--timeout", "500ms")
        self.check(done, LIMIT, "direct memory is full", "queue://idle")
        done = broker.weir("send", "queue://promised", "--count", "1800", "--size", "1000",
                           "--timeout", "10s")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertLessEqual(broker.destination("queue://idle")["direct_bytes"], 6 * MIB)

    def test_two_thousand_producers_of_a_topic_that_sent_once_and_sleep_stop_nobody(self):
        broker = self.broker("--direct", "12M", "--heap", "64M")
        out = self.folder() / "read"
        with out.open("wb") as file:
            reader = self.spawn(broker, "recv", "topic://quiet", "--follow", stdout=file)
        broker.await_consumers("topic://quiet", 1)
        sleepers = subprocess.Popen([SLEEPERS, broker.name, "topic://quiet", "20", "100"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.end_process, sleepers)
        self.assertEqual(sleepers.stdout.readline(), b"ready\n")
        until(lambda: broker.destination("topic://quiet")["messages_out"] == 2000)
        before = broker.destination("topic://quiet")["direct_bytes"]
        self.assertGreater(before, 7 * MIB)
        done = broker.weir("send", "queue://busy", "--count", "9370", "--size", "1000",
                           "--timeout", "20s")
        self.assertEqual(done.returncode, OK, done.stderr)
        # What is taken follows need: the busy one has a little more than 9 of 12 MiB now.
        self.assertLess(broker.destination("topic://quiet")["direct_bytes"], 3 * MIB)
        self.assertEqual(broker.weir("doctor").returncode, OK)
        # Who sends again gets a page again, and the reader goes on there.
        self.assertEqual(len(broker.drain("queue://busy")), 9370)
        sleepers.stdin.write(b"\n")
        sleepers.stdin.flush()
        self.assertEqual(sleepers.stdout.readline(), b"ready\n")
        until(lambda: broker.destination("topic://quiet")["messages_out"] == 4000)
        done = broker.weir("doctor")
        self.assertEqual(done.returncode, OK, done.stdout)
        self.end_process(reader)
        self.assertEqual(out.read_bytes(), b"one\n" * 4000)

    def test_no_more_producers_and_consumers_than_the_policy_says(self):
        broker = self.broker()
        self.set_policy(broker, "few.>", "max-producers=2", "max-consumers=1")
        first = self.spawn(broker, "send", "queue://few.a", stdin=subprocess.PIPE)
        self.spawn(broker, "send", "queue://few.a", stdin=subprocess.PIPE)
        until(lambda: broker.destination("queue://few.a")["producers"] == 2)
        self.check(broker.weir("send", "queue://few.a", stdin=b"x\n"), LIMIT, "max-producers")
        broker.send("queue://few.b", [b"another destination"])
        self.end_process(first)
        until(lambda: broker.destination("queue://few.a")["producers"] == 1)
        broker.send("queue://few.a", [b"instead"])
        self.spawn(broker, "recv", "queue://few.a", "--follow")
        broker.await_consumers("queue://few.a", 1)
        self.check(broker.weir("recv", "queue://few.a", "--drain"), LIMIT, "max-consumers")

    def test_a_message_above_the_largest_of_its_destination_is_refused_and_smaller_ones_go_on(self):
        broker = self.broker()
        self.set_policy(broker, "queue://short", "max-message=1000")
        done = broker.weir("send", "queue://short", stdin=b"x" * 1001 + b"\n")
        self.check(done, FAILED, "max-message")
        broker.send("queue://short", [b"x" * 1000])
        broker.send("queue://long", [b"x" * 1001])
        self.assertEqual(broker.drain("queue://short"), [b"x" * 1000])

    def test_a_message_that_no_waiting_would_let_in_is_refused_at_once(self):
        broker = self.broker()
        self.set_policy(broker, "queue://small", "limit=64KiB")
        done = broker.weir("send", "queue://small", "--count", "1", "--size", "100000")
        self.check(done, LIMIT, "larger than a limit")

    def test_pages_behind_the_first_have_the_size_that_the_policy_says(self):
        broker = self.broker()
        self.set_policy(broker, "queue://pages", "page-size=256KiB")
        broker.send("queue://pages", [b"x" * 1000] * 400)
        held = broker.destination("queue://pages")["direct_bytes"]
        self.assertEqual(held % (256 << 10), 4096)
        self.assertGreaterEqual(held, 512 << 10)

    def test_a_session_holds_no_more_than_one_may(self):
        path = self.folder() / "weir.toml"
        path.write_text('[session]\ndirect = "1MiB"\n')
        broker = self.broker("--direct", "32M", "--heap", "16M", "--config", path)
        for name in ("queue://a", "queue://b"):
            done = broker.weir("send", name, "--count", "20000", "--size", "1000", "--timeout",
                               "500ms")
            self.check(done, LIMIT, "this session holds as much")
            self.assertLessEqual(broker.destination(name)["direct_bytes"], MIB)

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
