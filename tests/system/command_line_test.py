# SPDX-License-Identifier: Apache-2.0
"""The command line's contract: exit codes, one sentence per error, names and limits."""
import json
import re
import resource

import stage
from stage import FAILED, LIMIT, OK, USAGE, weir

COMMANDS = ["broker", "stop", "send", "recv", "stat", "bench"]


class CommandLine(stage.SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.shared = stage.Broker("--direct", "32M", "--heap", "16M").start()

    @classmethod
    def tearDownClass(cls):
        cls.clear(cls.shared)

    def test_version_prints_version_and_layout_fingerprint(self):
        done = weir("--version")
        self.assertEqual(done.returncode, OK)
        self.assertRegex(done.stdout.decode(), r"^weir \d+\.\d+\.\d+, layout [0-9a-f]{16}\n$")

    def test_everything_has_help(self):
        for command in [[], *([each] for each in COMMANDS)]:
            with self.subTest(command=command):
                done = weir(*command, "--help")
                self.assertEqual(done.returncode, OK)
                self.assertIn(b"--help", done.stdout)
                self.assertEqual(done.stderr, b"")

    def test_a_wrong_command_line_is_a_usage_error(self):
        send, recv = ["send", "queue://x"], ["recv", "queue://x"]
        for wrong in ([], ["frobnicate"], ["send"], ["recv"], ["stat", "--jsn"], ["stat", "extra"],
                      [*send, "--count", "many"], [*send, "--rate", "-1"], [*send, "--size", "10"],
                      [*send, "--timeout", "1x"], [*send, "--count", "1", "--size", "10Q"],
                      [*send, "--property", "novalue"], [*send, "--count", "1", "--file", "f"],
                      [*recv, "--follow", "--drain"], [*recv, "--timeout", "soon"],
                      ["broker", "--direct", "much"], ["stop", "--drain=1x"],
                      ["bench", "--size", "-5"]):
            with self.subTest(wrong=wrong):
                done = self.shared.weir(*wrong)
                self.check(done, USAGE)
                self.assertEqual(done.stdout, b"")

    def test_a_bad_broker_name_is_a_usage_error(self):
        for name in ("Bad", "a_b", "a/b", "x" * 33, "../x"):
            for command in (["broker", "--check"], ["send", "queue://x"], ["recv", "queue://x"],
                            ["stat"], ["stop"]):
                with self.subTest(name=name, command=command[0]):
                    self.check(weir(*command, "--name", name), USAGE)

    def test_a_bad_destination_is_refused_with_what_is_wrong(self):
        for name, said in (("kafka://x", "kafka"), ("queue://", "queue://"),
                           ("queue://a..b", "a..b"), ("queue://a b", "a b"),
                           ("queue://" + "n" * 300, "255"),
                           ("topic://" + "n" * 248, "255"), ("queue://ä", ""),
                           ("queue://x?producer.nonsense=1", "nonsense")):
            for command in ("send", "recv"):
                if command == "recv" and "?" in name:
                    continue
                with self.subTest(name=name[:40], command=command):
                    done = self.shared.weir(command, name, "--timeout", "1s", stdin=b"x\n")
                    self.check(done, USAGE, said)
                    self.assertLess(len(done.stderr), 500)

    def test_the_longest_name_is_allowed(self):
        name = "queue://" + "n" * 247
        self.shared.send(name, [b"long"])
        self.assertEqual(self.shared.drain(name), [b"long"])

    def test_no_scheme_means_queue(self):
        self.shared.send("plain", [b"x"])
        self.assertEqual(self.shared.drain("queue://plain"), [b"x"])

    def test_a_producer_needs_a_name_without_wildcards(self):
        self.check(self.shared.weir("send", "topic://a.*", stdin=b"x\n"), USAGE, "a.*")

    def test_a_receiver_that_gets_nothing_ends_with_the_code_of_a_time_out(self):
        done = self.shared.weir("recv", "queue://silent", "--timeout", "300ms")
        self.check(done, LIMIT, "queue://silent")
        self.assertEqual(done.stdout, b"")

    def test_a_receiver_that_got_too_little_keeps_what_it_got(self):
        self.shared.send("queue://few", [b"one"])
        done = self.shared.weir("recv", "queue://few", "--count", "2", "--timeout", "300ms")
        self.assertEqual((done.returncode, done.stdout), (LIMIT, b"one\n"))
        self.assertEqual(self.shared.drain("queue://few"), [])

    def test_too_large_a_message_names_the_limit_and_loses_nothing(self):
        largest = self.shared.stat()["broker"]["largest_message"]
        self.assertEqual(largest, 8 << 20)
        refused = self.shared.weir("send", "queue://large", "--count", "1", "--size", "9M")
        self.check(refused, FAILED, "8 MiB")
        lines = self.shared.weir("send", "queue://large",
                                 stdin=b"before\n" + b"x" * (9 << 20) + b"\nbehind\n")
        self.check(lines, FAILED, "8 MiB", "line 2")
        path = self.folder() / "large"
        path.write_bytes(b"x" * (9 << 20))
        named = self.shared.weir("send", "queue://large", "--file", str(path))
        self.check(named, FAILED, "8 MiB", str(path))
        self.assertEqual(self.shared.drain("queue://large"), [b"before"])

    def test_a_stream_without_newlines_is_an_error_and_not_all_of_the_memory(self):
        with open("/dev/zero", "rb") as endless:
            writer = self.spawn(
                self.shared, "send", "queue://endless", stdin=endless,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
            _, error = writer.communicate(timeout=30)
        self.assertEqual(writer.returncode, FAILED, error)
        self.assertIn(b"8 MiB", error)

    def test_a_file_that_cannot_be_read_is_named(self):
        done = self.shared.weir("send", "queue://files", "--file", "/nonexistent/file")
        self.check(done, FAILED, "/nonexistent/file", "ENOENT")
        self.check(self.shared.weir("send", "queue://files", "--file", "/tmp"), FAILED, "/tmp")

    def test_stat_has_the_keys_of_the_contract(self):
        self.shared.send("queue://keys", [b"x"])
        reader = self.spawn(self.shared, "recv", "queue://keyed")
        self.shared.await_consumers("queue://keyed", 1)
        seen = self.shared.stat()
        self.assertEqual(set(seen["broker"]) & {"name", "pid", "uptime_s", "epoch"},
                         {"name", "pid", "uptime_s", "epoch"})
        for memory in ("direct", "heap"):
            self.assertLessEqual({"capacity", "used", "peak"}, set(seen[memory]))
        self.assertLessEqual({"limit", "used", "flowing"}, set(seen["disk"]))
        wanted = {"name", "producers", "consumers", "messages_in", "messages_out",
                  "depth_messages", "depth_bytes", "direct_bytes", "disk_bytes", "limit",
                  "blocked_producers"}
        self.assertLessEqual(wanted, set(seen["destinations"][0]))
        wanted = {"id", "pid", "name", "lanes", "subscriptions", "direct_bytes"}
        self.assertLessEqual(wanted, set(seen["sessions"][0]))
        self.assertEqual([each["pid"] for each in seen["sessions"]], [reader.pid])
        self.assertEqual(seen["direct"]["capacity"], 32 << 20)
        self.assertEqual(seen["heap"]["capacity"], 16 << 20)

    def test_stat_is_a_table_for_people(self):
        self.shared.send("queue://shown", [b"x"])
        done = self.shared.weir("stat")
        self.assertEqual(done.returncode, OK)
        self.assertRegex(done.stdout.decode(), r"(?m)^direct +\S+ \S+ +32 MiB")
        self.assertRegex(done.stdout.decode(), r"(?m)^queue://shown ")

    def test_bench_has_the_keys_of_the_contract(self):
        done = weir("bench", "--size", "64", "--json", "--rounds", "1", "--leg", "5ms", timeout=55)
        self.assertEqual(done.returncode, OK, done.stderr.decode())
        report = json.loads(done.stdout)
        wanted = {"size", "rtt_ns", "raw_rtt_ns", "rtt_ratio", "msgs_per_s", "bytes_per_s",
                  "plain_ring_msgs_per_s", "plain_ring_ratio", "uds_msgs_per_s", "uds_ratio",
                  "copy_bytes_per_s", "copy_ratio", "trusted", "why_not"}
        self.assertLessEqual(wanted, set(report))
        self.assertLessEqual({"p50", "p99", "p999"}, set(report["rtt_ns"]))
        self.assertEqual(report["size"], 64)
        self.assertIsNone(re.search(r"window", report["why_not"]), report["why_not"])


if __name__ == "__main__":
    stage.main()
