# SPDX-License-Identifier: Apache-2.0
"""Configuration and policies as a user meets them: checked, shown, set, read again, refused."""
import json
import os
import pathlib
import re
import signal

import stage
from stage import FAILED, NO_BROKER, OK, USAGE, until, weir

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


class Policy(stage.SystemTest):
    def file(self, text, name="weir.toml"):
        path = self.folder() / name
        path.write_text(text)
        return path

    def show(self, broker, destination):
        """Its policy: key -> facts, and the generation."""
        done = broker.weir("policy", "show", destination, "--json")
        self.assertEqual(done.returncode, OK, done.stderr.decode())
        return json.loads(done.stdout)["policy"]

    def test_the_example_of_the_readme_holds_and_says_what_the_readme_says(self):
        text = README.read_text()
        example = re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1)
        path = self.file(example.replace("/var/tmp/weir", str(self.folder() / "spill")))
        for command in (["policy", "check", path], ["broker", "--check", "--config", path]):
            done = weir(*command)
            self.assertEqual(done.returncode, OK, done.stderr.decode())
        broker = self.broker("--config", path)
        policy = self.show(broker, "queue://orders.eu")
        self.assertEqual(policy["limit"]["value"], "64MiB")
        self.assertEqual(policy["limit"]["pattern"], "queue://orders.>")
        line = 1 + path.read_text()[:path.read_text().index('limit = "64MiB"')].count("\n")
        self.assertEqual(policy["limit"]["place"], f"{path}:{line}")
        self.assertEqual(broker.stat()["direct"]["capacity"], 256 << 20)

    def test_a_configuration_that_cannot_hold_is_refused_with_file_line_and_reason(self):
        policy = '[memory]\ndirect = "64MiB"\n[[policy]]\nmatch = "queue://a"\n'
        for text, line, reason in (
                ('[memory]\ndirekt = "1G"\n', 2, "direkt"),
                ('[memory]\ndirect = "64 parsecs"\n', 2, "unknown unit"),
                ("[memory]\ndirect = true\n", 2, "is a size"),
                ('name = "a"\nname = "b"\n', 2, "name"),
                ("[memory\n", 1, ""),
                ('[flow-to-disk]\nthreshold = "50%"\nresume = "60%"\n', 3, "above the threshold"),
                ('[session]\nlanes = 9\n[user]\nlanes = 8\n', 2, "over that of its user"),
                (policy + 'limit = "65MiB"\n', 5, "more than the direct memory"),
                (policy + 'limit = "1MiB"\nreserve = "2MiB"\n', 6, "is more than limit = 1MiB"),
                (policy + 'limt = "1MiB"\n', 5, "no key of a policy"),
                (policy + 'rate = "5MiB"\n', 5, "not a rate"),
                (policy + 'reserve = "40MiB"\n[[policy]]\nmatch = "b"\nreserve = "25MiB"\n', 8,
                 "65 MiB together"),
                (policy + 'limit = 65536\n[[policy]]\nmatch = "a"\nlimit = 65536\n', 8,
                 "said already at"),
        ):
            path = self.file(text)
            for command in (["policy", "check", path], ["broker", "--check", "--config", path],
                            ["broker", "--config", path]):
                done = weir(*command, name=stage.new_name())
                self.check(done, USAGE, f"{path}:{line}: ", reason)
                self.assertEqual(done.stdout, b"")

    def test_a_check_starts_nothing(self):
        broker = stage.Broker()
        done = broker.weir("broker", "--check", "--direct", "64M", "--producer-part", "50%",
                           "--flow-threshold", "60%", "--flow-resume", "32MiB")
        self.assertEqual(done.returncode, OK, done.stderr.decode())
        self.assertIn(b"producer-part = 33554432", done.stdout)
        self.assertEqual(stage.leftovers(broker.name), [])
        # What it prints is a configuration.
        printed = self.file(done.stdout.decode())
        again = broker.weir("broker", "--check", "--config", printed)
        self.assertEqual(again.stdout, done.stdout, again.stderr.decode())

    def test_a_policy_is_set_shown_and_taken_back(self):
        broker = self.broker()
        broker.send("queue://orders.eu", [b"here already"])
        done = broker.weir("policy", "set", "orders.>", "limit=50%", "rate=1MiB/s,500msg/s",
                           "overflow=fail-after", "fail-after=250ms", "flow-to-disk=never")
        self.assertEqual((done.returncode, done.stdout), (OK, b"1 destination changed\n"),
                         done.stderr)
        for name in ("queue://orders.eu", "orders.never.seen"):
            policy = self.show(broker, name)
            self.assertEqual(policy["limit"]["number"], 16 << 20)
            self.assertEqual((policy["limit"]["value"], policy["limit"]["written"],
                              policy["limit"]["origin"], policy["limit"]["pattern"]),
                             ("16MiB", "50%", "set", "queue://orders.>"))
            self.assertEqual((policy["rate"]["number"], policy["rate"]["messages"]),
                             (1 << 20, 500))
            self.assertEqual(policy["fail-after"]["number"], 250_000_000)
            self.assertEqual(policy["reserve"]["origin"], "default")
            self.assertEqual(policy["high-water"]["number"], (16 << 20) * 7 // 10 // 4096 * 4096)
        table = broker.weir("policy", "show", "queue://orders.eu").stdout.decode()
        self.assertRegex(table, r"(?m)^flow-to-disk +never +queue://orders\.> \(set at run time\)$")
        self.assertRegex(table, r"(?m)^limit +16MiB +queue://orders\.> \(set at run time, written "
                                r"50%\)$")
        self.assertEqual(broker.destination("queue://orders.eu")["limit"], 16 << 20)
        done = broker.weir("policy", "set", "orders.>", "limit=default")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(self.show(broker, "orders.eu")["limit"]["value"], "none")

    def test_a_refused_change_changes_nothing(self):
        broker = self.broker()
        broker.send("queue://a", [b"x"])
        self.assertEqual(broker.weir("policy", "set", "queue://a", "limit=1MiB").returncode, OK)
        before = self.show(broker, "queue://a")
        for code, settings in ((USAGE, ["limit=2MiB", "limt=3MiB"]), (USAGE, ["limit=2 MiBs"]),
                               (USAGE, ["limit=2MiB", "limit=3MiB"]), (USAGE, ["limit"]),
                               (USAGE, ["limit=1G"]), (USAGE, ["overflow=explode"]),
                               (FAILED, ["max-depth=5", "reserve=2MiB"]),
                               (FAILED, ["overflow=fail-after"])):
            self.check(broker.weir("policy", "set", "queue://a", *settings), code)
            self.assertEqual(self.show(broker, "queue://a"), before, settings)
        self.check(broker.weir("policy", "set", "queue://a..b", "limit=1MiB"), USAGE)
        self.check(broker.weir("policy", "show", "queue://a.*"), USAGE, "wildcard")
        self.check(broker.weir("policy", "set", "queue://b", "reserve=32MiB"), FAILED, "reserve")
        self.check(broker.weir("policy", "set", "queue://a"), USAGE)

    def test_a_limit_below_the_use_is_taken_and_the_user_is_told(self):
        broker = self.broker()
        done = broker.weir("send", "queue://full", "--count", "500", "--size", "4000")
        self.assertEqual(done.returncode, OK, done.stderr)
        done = broker.weir("policy", "set", "queue://full", "limit=64KiB")
        self.assertEqual(done.returncode, OK)
        self.assertIn(b"queue://full holds", done.stderr)
        self.assertEqual(len(broker.drain("queue://full")), 500, "what was accepted is not lost")

    def test_the_file_is_read_again_on_sighup_and_on_request_and_all_or_nothing(self):
        path = self.file('[[policy]]\nmatch = "queue://>"\nlimit = "1MiB"\n')
        broker = self.broker("--direct", "32M", "--heap", "16M", "--config", path)
        self.assertEqual(self.show(broker, "queue://a")["limit"]["place"], f"{path}:3")
        self.assertEqual(broker.weir("policy", "set", "queue://>", "max-depth=9").returncode, OK)

        path.write_text('\n[[policy]]\nmatch = "queue://>"\nlimit = "2MiB"\n')
        os.kill(broker.pid, signal.SIGHUP)
        until(lambda: self.show(broker, "queue://a")["limit"]["value"] == "2MiB")
        self.assertEqual(self.show(broker, "queue://a")["limit"]["place"], f"{path}:4")
        self.assertEqual(self.show(broker, "queue://a")["max-depth"]["value"], "9")

        before = self.show(broker, "queue://a")
        policy = '[[policy]]\nmatch = "queue://>"\nlimit = "3MiB"\n'
        for text, line, code in ((policy + 'reserve = "4MiB"\n', 4, FAILED),
                                 (policy + 'reserve = "4MiB\n', 4, USAGE),
                                 ('[memry]\n', 1, USAGE)):
            path.write_text(text)
            os.kill(broker.pid, signal.SIGHUP)
            self.check(broker.weir("policy", "reload"), code, f"{path}:{line}: ")
            self.assertEqual(self.show(broker, "queue://a"), before)
        path.write_text("")
        done = broker.weir("policy", "reload")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertEqual(self.show(broker, "queue://a")["limit"]["origin"], "default")

    def test_without_a_file_there_is_nothing_to_read_again_and_sighup_does_no_harm(self):
        broker = self.broker()
        os.kill(broker.pid, signal.SIGHUP)
        self.check(broker.weir("policy", "reload"), FAILED, "--config")
        broker.send("queue://a", [b"still here"])

    def test_without_a_broker_it_says_so(self):
        for command in (["show", "queue://a"], ["set", "queue://a", "limit=1MiB"], ["reload"]):
            self.check(weir("policy", *command, name=stage.new_name()), NO_BROKER, "no broker")

    def test_many_changes_at_once_leave_each_destination_with_one_of_them(self):
        broker = self.broker()
        for number in range(8):
            broker.send(f"queue://d{number}", [b"x"])
        changes = [broker.spawn("policy", "set", "queue://>", f"limit={1 + number}MiB",
                                f"max-depth={1 + number}") for number in range(12)]
        for change in changes:
            self.addCleanup(self.end_process, change)
            self.assertEqual(change.wait(30), OK)
        seen = {(self.show(broker, f"queue://d{number}")["limit"]["number"] >> 20,
                 self.show(broker, f"queue://d{number}")["max-depth"]["number"])
                for number in range(8)}
        self.assertEqual(len(seen), 1, seen)
        limit, depth = seen.pop()
        self.assertEqual(limit, depth)


if __name__ == "__main__":
    stage.main()
