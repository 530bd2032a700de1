# SPDX-License-Identifier: Apache-2.0
"""Flow to disk as a user sees it: more backlog than memory, full disks, deaths.

What it does not show: a disk that fails (tests/unit/io and tests/unit/core/broker/flow_test do).
"""
import json
import os
import re
import shutil
import signal
import subprocess

import stage
from stage import LIMIT, OK, until

MEMORY = ("--direct", "8M", "--heap", "16M")


def numbers_of(output):
    return [int(line[:10]) for line in stage.lines_of(output)]


class FlowToDisk(stage.SystemTest):
    def send_numbers(self, broker, count, *more):
        return broker.weir("send", "queue://big", "--count", str(count), "--size", "1000", *more)

    def receive(self, broker, count):
        done = broker.weir("recv", "queue://big", "--count", str(count), "--timeout", "20s")
        self.assertEqual(done.returncode, OK, done.stderr)
        return numbers_of(done.stdout)

    def test_six_times_the_memory_waits_on_disk_and_comes_back_in_order(self):
        folder = self.folder()
        broker = self.broker(*MEMORY, "--spill-dir", str(folder))
        self.check(self.send_numbers(broker, 50_000), OK)
        seen = broker.stat()
        self.assertLessEqual(seen["direct"]["used"], seen["direct"]["capacity"])
        self.assertGreater(seen["disk"]["used"], 40_000_000)
        self.assertGreater(seen["disk"]["limit"], seen["disk"]["used"])
        self.assertGreater(seen["disk"]["bytes_written"], 40_000_000)
        self.assertIsNone(seen["disk"]["trouble"])
        self.assertEqual(broker.destination("queue://big")["depth_messages"], 50_000)
        self.assertEqual(self.receive(broker, 50_000), list(range(50_000)))
        until(lambda: os.listdir(folder) == [])
        until(lambda: broker.stat()["disk"]["used"] == 0)

    def test_without_a_word_backlog_flows_to_a_private_directory_that_goes_with_the_broker(self):
        state = self.folder()
        spill = state / "weir" / "spill"
        os.environ.update(XDG_STATE_HOME=str(state), WEIR_SPILL_DIR="")
        self.addCleanup(os.environ.update, WEIR_SPILL_DIR="none")
        self.addCleanup(os.environ.pop, "XDG_STATE_HOME")
        broker = self.broker(*MEMORY)
        if b"(tmpfs)" in broker.started.stderr:
            self.assertFalse(broker.stat()["disk"]["limit"])
            self.skipTest("temporary files are in memory here")
        self.assertEqual(broker.started.stderr, b"")
        self.check(self.send_numbers(broker, 20_000), OK)
        self.assertEqual(os.stat(spill).st_mode & 0o7777, 0o700)
        self.assertNotEqual(os.listdir(spill), [])
        self.assertEqual(self.receive(broker, 20_000), list(range(20_000)))
        broker.end()
        self.assertFalse(spill.exists())

    def test_a_default_directory_of_somebody_else_is_not_used_and_producers_wait(self):
        state = self.folder()
        os.environ.update(XDG_STATE_HOME=str(state), WEIR_SPILL_DIR="")
        self.addCleanup(os.environ.update, WEIR_SPILL_DIR="none")
        self.addCleanup(os.environ.pop, "XDG_STATE_HOME")
        spill = state / "weir" / "spill"
        spill.mkdir(parents=True)
        spill.chmod(0o777)
        broker = self.broker(*MEMORY)
        self.assertIn(b"is open to other users", broker.started.stderr)
        self.assertIn(b"--spill-dir", broker.started.stderr)
        self.check(self.send_numbers(broker, 20_000, "--timeout", "1s"), LIMIT)
        self.assertEqual(os.listdir(spill), [])
        broker.end()
        self.assertTrue(spill.exists())
        elsewhere = self.folder()
        spill.rmdir()
        spill.symlink_to(elsewhere)
        other = self.broker(*MEMORY)
        self.assertIn(b"is not a directory", other.started.stderr)
        self.assertEqual(os.listdir(elsewhere), [])
        other.end()
        self.assertTrue(spill.exists())

    def test_none_is_a_spill_directory_too(self):
        broker = self.broker(*MEMORY, "--spill-dir", "none")
        self.assertEqual(broker.started.stderr, b"")
        self.check(self.send_numbers(broker, 20_000, "--timeout", "1s"), LIMIT)

    def test_it_is_said_when_memory_and_disk_will_be_full_at_this_rate(self):
        broker = self.broker("--direct", "256M", "--heap", "16M")
        self.check(broker.weir("policy", "set", "queue://big", "rate=8MiB/s"), OK)
        sender = self.spawn(broker, "send", "queue://big", "--count", "100000", "--size", "1000")
        until(lambda: broker.stat()["direct"]["seconds_until_full"])
        seen = broker.stat()["direct"]
        self.assertEqual(seen["seconds_until_full"],
                         -(-(seen["capacity"] - seen["used"]) // seen["growth_per_s"]))
        self.assertRegex(broker.weir("stat").stdout, rb"direct memory grows by .*: full in \d+ s")
        top = json.loads(broker.weir("top", "--json", "--once").stdout)
        self.assertGreater(top["direct"]["seconds_until_full"], 0)
        self.end_process(sender)
        until(lambda: broker.stat()["direct"]["seconds_until_full"] is None)

    def test_a_consumer_that_is_killed_loses_nothing_of_what_is_on_disk(self):
        broker = self.broker(*MEMORY, "--spill-dir", str(self.folder()))
        self.check(self.send_numbers(broker, 30_000), OK)
        seen = set()
        for _ in range(3):
            reader = self.spawn(broker, "recv", "queue://big", "--count", "30000")
            for _ in range(3000):
                seen.add(int(reader.stdout.readline()[:10]))
            os.kill(reader.pid, signal.SIGKILL)
            reader.wait()
        rest = broker.weir("recv", "queue://big", "--timeout", "3s", "--count", "40000")
        seen.update(numbers_of(rest.stdout))
        self.assertEqual(seen, set(range(30_000)))
        until(lambda: broker.destination("queue://big")["depth_messages"] == 0)

    def test_a_disk_that_is_full_makes_the_sender_wait_and_says_so(self):
        folder = self.folder()
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c",
             'mount -t tmpfs -o size=16m tmpfs "$1" && '
             'exec "$0" broker --direct 8M --heap 16M --spill-dir "$1"',
             stage.PROGRAM, str(folder)],
            env={**os.environ, "WEIR_NAME": broker.name}, capture_output=True, timeout=30,
            check=False)
        if b"unshare" in done.stderr or b"mount" in done.stderr:
            self.skipTest("this container may not mount")
        self.assertEqual(done.returncode, OK, done.stderr)
        broker.pid = broker.stat()["broker"]["pid"]
        self.check(self.send_numbers(broker, 50_000, "--timeout", "2s"), LIMIT, "spill directory")
        kept = broker.destination("queue://big")["depth_messages"]
        self.assertGreater(kept, 12_000)
        trouble = broker.stat()["disk"]["trouble"]
        self.assertIn(trouble["reason"], ("limit", "disk-full"), trouble)
        self.assertEqual(self.receive(broker, kept), list(range(kept)))
        until(lambda: broker.stat()["disk"]["used"] == 0)

    def test_a_spill_directory_that_is_removed_is_made_again_and_nothing_is_lost(self):
        folder = self.folder() / "spill"
        broker = self.broker(*MEMORY, "--spill-dir", str(folder))
        self.check(self.send_numbers(broker, 15_000), OK)
        self.assertNotEqual(os.listdir(folder), [])
        shutil.rmtree(folder)
        self.check(self.send_numbers(broker, 200_000), OK)
        self.assertNotEqual(os.listdir(folder), [], "it is there again, and in use")
        expected = list(range(15_000)) + list(range(200_000))
        self.assertEqual(self.receive(broker, 215_000), expected)
        until(lambda: os.listdir(folder) == [])

    def test_a_page_that_rots_on_disk_is_one_gap_that_is_told_where_it_is(self):
        folder = self.folder()
        broker = self.broker(*MEMORY, "--spill-dir", str(folder))
        self.check(self.send_numbers(broker, 50_000), OK)
        files = sorted(folder.iterdir())
        with open(files[0], "r+b") as file:
            file.seek(1_000_000)
            file.write(b"rot")
        received = broker.weir("recv", "queue://big", "--drain")
        self.check(received, OK)
        numbers = numbers_of(received.stdout)
        told = re.findall(rb"(\d+) messages are missing before number (\d+)", received.stderr)
        self.assertEqual(len(told), 1, received.stderr)
        self.assertNotIn(b"are lost", received.stderr, "it was told where it was")
        missing, behind = map(int, told[0])
        self.assertEqual(numbers[: behind - 1], list(range(behind - 1)))
        self.assertEqual(numbers[behind - 1 :], list(range(behind - 1 + missing, 50_000)))
        self.assertEqual(broker.destination("queue://big")["damaged"], missing)

    def test_what_a_killed_broker_left_on_disk_is_removed_at_the_next_start(self):
        folder = self.folder()
        broker = self.broker(*MEMORY, "--spill-dir", str(folder))
        self.check(self.send_numbers(broker, 20_000), OK)
        broker.kill()
        self.assertNotEqual(os.listdir(folder), [])
        broker.start()
        self.assertEqual(os.listdir(folder), [])
        self.assertIn(b"spill files", broker.started.stdout + broker.started.stderr)

    def test_a_broker_that_is_stopped_leaves_nothing_on_disk(self):
        folder = self.folder()
        broker = self.broker(*MEMORY, "--spill-dir", str(folder))
        self.check(self.send_numbers(broker, 20_000), OK)
        broker.end()
        self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    stage.main()
