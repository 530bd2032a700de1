# SPDX-License-Identifier: Apache-2.0
"""What senders do when there is no room, and at which rate they send: by name and by policy."""
import subprocess
import time

import stage
from stage import LIMIT, OK, until

POLICY = """
[[policy]]
match = "queue://rated"
rate = "2000msg/s"

[[policy]]
match = "queue://bytes"
rate = ["1MB/s"]

[[policy]]
match = "queue://impatient"
overflow = "fail-after"
fail-after = "300ms"
limit = "1MiB"

[[policy]]
match = "queue://ring"
overflow = "drop-oldest"
limit = "1MiB"

[[policy]]
match = "topic://live"
limit = "1MiB"
slow-subscriber = "drop-oldest"
"""


class Throttling(stage.SystemTest):
    def configured(self):
        path = self.folder() / "weir.toml"
        path.write_text(POLICY)
        return self.broker("--direct", "32M", "--heap", "16M", "--config", str(path))

    def numbers(self, output):
        return [int(line[:10]) for line in output.splitlines()]

    def expect_newest(self, broker, name, count):
        books = broker.destination(name)
        self.assertEqual(books["messages_in"], count)
        self.assertEqual(books["dropped"] + books["depth_messages"], count)
        self.assertGreater(books["dropped"], 0)
        numbers = self.numbers(b"\n".join(broker.drain(name)))
        self.assertEqual(numbers, list(range(count - len(numbers), count)))
        done = broker.weir("doctor")
        self.assertEqual(done.returncode, OK, done.stdout.decode())

    def test_a_ring_by_name_keeps_the_newest_and_never_waits(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        done = broker.weir("send", "queue://ring?producer.onFull=dropOldest", "--count", "50000",
                           "--size", "1000")
        self.check(done, OK)
        self.expect_newest(broker, "queue://ring", 50000)

    def test_dropping_the_newest_by_name_keeps_the_oldest(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        done = broker.weir("send", "queue://old?producer.onFull=dropNewest", "--count", "20000",
                           "--size", "1000")
        self.check(done, OK)
        books = broker.destination("queue://old")
        self.assertEqual(books["dropped_newest"] + books["messages_in"], 20000)
        numbers = self.numbers(b"\n".join(broker.drain("queue://old")))
        self.assertEqual(numbers, list(range(len(numbers))))

    def test_a_ring_by_policy_keeps_the_newest_within_its_limit(self):
        broker = self.configured()
        done = broker.weir("send", "queue://ring", "--count", "20000", "--size", "1000")
        self.check(done, OK)
        self.assertLessEqual(broker.destination("queue://ring")["direct_bytes"], 1 << 20)
        self.expect_newest(broker, "queue://ring", 20000)

    def test_a_policy_that_is_set_at_run_time_binds_who_sends_next(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        send = ("send", "queue://late", "--count", "5000", "--size", "1000")
        self.check(broker.weir("policy", "set", "queue://late", "limit=1MiB",
                               "overflow=drop-newest"), OK)
        self.check(broker.weir(*send), OK)
        books = broker.destination("queue://late")
        self.assertEqual(books["messages_in"] + books["dropped_newest"], 5000)
        self.assertGreater(books["dropped_newest"], 3000)
        self.check(broker.weir("policy", "set", "queue://late", "overflow=drop-oldest"), OK)
        self.check(broker.weir(*send), OK)
        after = broker.destination("queue://late")
        self.assertEqual(after["messages_in"], books["messages_in"] + 5000)
        self.assertEqual(self.numbers(b"\n".join(broker.drain("queue://late")))[-1], 4999)
        # A depth is exact, and whoever sends one more is told.
        self.check(broker.weir("policy", "set", "queue://late", "overflow=fail-after",
                               "fail-after=200ms", "max-depth=7"), OK)
        self.check(broker.weir(*send), LIMIT, "max-depth", "7 of 7 are there")
        self.assertEqual(broker.destination("queue://late")["depth_messages"], 7)
        writer = self.spawn(broker, *send, "--timeout", "30s")
        until(lambda: broker.destination("queue://late").get("blocked_producers") == 1)
        shortage = broker.destination("queue://late")["shortage"]
        self.assertEqual((shortage["used"], shortage["capacity"], shortage["unit"]),
                         (7, 7, "messages"))
        self.assertRegex(broker.weir("stat").stdout.decode(), r"7 messages +7 messages")

    def test_fail_after_by_policy_gives_up_in_time_and_says_why(self):
        broker = self.configured()
        begin = time.monotonic()
        done = broker.weir("send", "queue://impatient", "--count", "20000", "--size", "1000")
        self.check(done, LIMIT, "queue://impatient waited", "limit")
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)

    def test_a_slow_subscriber_of_a_live_topic_sees_a_gap_and_stops_nobody(self):
        broker = self.configured()
        slow = self.spawn(broker, "recv", "topic://live")
        broker.await_consumers("topic://live", 1)
        # Its output is not read, so it soon stands still.
        done = broker.weir("send", "topic://live", "--count", "30000", "--size", "1000")
        self.check(done, OK)
        books = broker.destination("topic://live")
        self.assertEqual(books["messages_in"], 30000)
        self.assertGreater(books["dropped"], 0)
        done = broker.weir("doctor")
        self.assertEqual(done.returncode, OK, done.stdout.decode())
        slow.send_signal(stage.signal.SIGTERM)
        numbers = self.numbers(slow.communicate(timeout=20)[0])
        self.assertEqual(numbers, sorted(set(numbers)), "in order, none twice")

    def counted_over(self, broker, name, key, seconds):
        """How much came in over a span, and the span as it was."""
        until(lambda: broker.destination(name)["messages_in"] > 0)
        before, begin = broker.destination(name)[key], time.monotonic()
        time.sleep(seconds)
        after, end = broker.destination(name)[key], time.monotonic()
        return (after - before) / (end - begin)

    def test_rates_hold_within_two_percent_over_ten_seconds(self):
        broker = self.configured()
        for name in ("queue://rated", "queue://bytes"):
            self.spawn(broker, "recv", name, "--follow", stdout=subprocess.DEVNULL)
            for _ in range(2):
                self.spawn(broker, "send", name, "--count", "10000000", "--size", "1000")
        until(lambda: broker.destination("queue://bytes")["messages_in"] > 0)
        messages = self.counted_over(broker, "queue://rated", "messages_in", 10)
        self.assertAlmostEqual(messages, 2000, delta=40)
        payload = self.counted_over(broker, "queue://bytes", "messages_in", 10) * 1000
        self.assertAlmostEqual(payload, 1_000_000, delta=20_000)


if __name__ == "__main__":
    stage.main()
