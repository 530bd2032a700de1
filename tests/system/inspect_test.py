# SPDX-License-Identifier: Apache-2.0
"""Looking at a broker without asking it: doctor and top, also while it is stopped, or dead."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import stage
from stage import NO_BROKER, OK, USAGE, until


class Doctor(stage.SystemTest):
    def examined(self, broker, code=OK):
        done = broker.weir("doctor", "--json")
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        return json.loads(done.stdout)

    def test_finds_no_drift_in_a_broker_with_messages_producers_and_consumers(self):
        broker = self.broker()
        broker.send("queue://orders", [b"%d" % number for number in range(1000)])
        self.spawn(broker, "recv", "topic://news.>")
        self.spawn(broker, "send", "topic://news.sport", stdin=subprocess.PIPE)
        broker.await_consumers("topic://news.sport", 1)
        found = self.examined(broker)
        self.assertEqual(found["drift"], 0)
        self.assertFalse(found["moving"])
        self.assertEqual(found["not_seen"], [])
        by_name = {each["resource"]: each for each in found["resources"]}
        self.assertTrue(all(each["seen"] for each in by_name.values()), by_name)
        self.assertEqual(by_name["messages"]["counted"], 1000)
        self.assertEqual(by_name["direct"]["counted"], broker.stat()["direct"]["used"])
        self.assertGreaterEqual(found["records"], 1000)
        text = broker.weir("doctor")
        self.assertEqual(text.returncode, OK)
        self.assertEqual(text.stdout.splitlines()[-1], b"drift 0")

    def test_finds_no_drift_while_a_backlog_lies_on_disk_and_when_it_came_back(self):
        broker = self.broker("--direct", "8M", "--heap", "16M", "--spill-dir", str(self.folder()))
        for name in ("queue://big", "queue://too"):
            done = broker.weir("send", name, "--count", "20000", "--size", "1000")
            self.assertEqual(done.returncode, OK, done.stderr)
        self.assertGreater(broker.stat()["disk"]["used"], 20_000_000)
        self.assertEqual(self.examined(broker)["drift"], 0)
        self.assertEqual(len(broker.drain("queue://big")), 20_000)
        self.assertEqual(self.examined(broker)["drift"], 0)

    def test_examines_a_stopped_broker_and_says_what_it_could_not_compare(self):
        broker = self.broker()
        broker.send("queue://orders", [b"%d" % number for number in range(1000)])
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            found = self.examined(broker)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        self.assertEqual(found["drift"], 0)
        self.assertTrue(found["broker"]["alive"])
        self.assertFalse(found["broker"]["answers"])
        self.assertRegex(" ".join(found["not_seen"]), "did not bring them up to date")

    def test_recounts_what_control_shows_of_a_dead_broker(self):
        broker = self.broker()
        broker.send("queue://orders", [b"%d" % number for number in range(1000)])
        broker.kill()
        found = self.examined(broker)
        self.assertEqual(found["drift"], 0)
        self.assertFalse(found["broker"]["alive"])
        self.assertRegex(" ".join(found["not_seen"]), "heap.*gone.*messages.*gone")
        direct = found["resources"][0]
        self.assertEqual((direct["resource"], direct["seen"]), ("direct", True))
        self.assertGreater(direct["counted"], 0)

    def test_says_that_there_is_no_broker(self):
        done = stage.weir("doctor", name=stage.new_name())
        self.check(done, NO_BROKER, "weir broker --name")
        self.check(stage.weir("doctor", "--name", "Not A Name"), USAGE, "Not A Name")


class Terminal:
    """A program on a pseudo-terminal of a given size, and what its screen shows."""

    def __init__(self, broker, *arguments, lines=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(slave)
        self.output = b""
        self.process = subprocess.Popen(
            [stage.PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave,
            env={**os.environ, "WEIR_NAME": broker.name, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds):
        """What comes within so many seconds."""
        got, until_s = b"", time.monotonic() + seconds
        while time.monotonic() < until_s:
            if select.select([self.master], [], [], 0.05)[0]:
                got += os.read(self.master, 65536)
        self.output += got
        return got

    def await_text(self, pattern, seconds=15):
        """Reads until a frame matches; the last frame that was drawn."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.read(0.1)
            for frame in reversed(self.output.split(b"\x1b[H")):
                if re.search(pattern, frame):
                    return frame
        raise AssertionError(f"no frame shows {pattern}: ...{self.output[-3000:]}")

    def key(self, key):
        os.write(self.master, key)

    def restored(self):
        """Whether the screen was left and the keyboard is as it was."""
        left = self.output.rfind(b"\x1b[?1049l") > self.output.rfind(b"\x1b[?1049h")
        shown = self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l")
        return left and shown and termios.tcgetattr(self.slave) == self.before

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Top(stage.SystemTest):
    def terminal(self, broker, *arguments, **size):
        terminal = Terminal(broker, "top", *arguments, **size)
        self.addCleanup(terminal.end)
        return terminal

    def ended(self, terminal, code):
        until(lambda: (terminal.read(0.05), terminal.process.poll() is not None)[1])
        terminal.read(0.1)
        self.assertEqual(terminal.process.returncode, code)
        self.assertTrue(terminal.restored(), terminal.output[-200:])

    def test_shows_destinations_by_memory_and_ends_at_q_with_the_terminal_as_it_was(self):
        broker = self.broker()
        broker.send("queue://small", [b"x"])
        broker.send("queue://large", [b"x" * 3000] * 200)
        terminal = self.terminal(broker, "--interval", "100ms")
        frame = terminal.await_text(rb"(?s)queue://large +\d.*queue://small +\d")
        self.assertLess(frame.index(b"queue://large"), frame.index(b"queue://small"))
        self.assertIn(b"broker " + broker.name.encode(), frame)
        terminal.key(b"q")
        self.ended(terminal, OK)

    def test_restores_the_terminal_when_a_signal_ends_it(self):
        broker = self.broker()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV):
            with self.subTest(number):
                terminal = self.terminal(broker)
                terminal.await_text(b"weir top: broker")
                os.kill(terminal.process.pid, number)
                self.ended(terminal, -number if number == signal.SIGSEGV else OK)

    def test_leaves_the_screen_while_it_is_suspended(self):
        broker = self.broker()
        terminal = self.terminal(broker, "--interval", "100ms")
        terminal.await_text(b"weir top: broker")
        # An orphaned group is not stopped by SIGTSTP, so the test looks at the screen alone.
        terminal.output = b""
        os.kill(terminal.process.pid, signal.SIGTSTP)
        terminal.await_text(rb"\x1b\[\?1049l")
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.await_text(b"weir top: broker")
        terminal.key(b"q")
        self.ended(terminal, OK)

    def test_draws_no_more_lines_and_columns_than_the_terminal_has(self):
        broker = self.broker()
        for number in range(30):
            broker.send(f"queue://a-rather-long-name-of-a-destination-{number}", [b"x"])
        terminal = self.terminal(broker, "--interval", "100ms", lines=30, columns=120)
        terminal.await_text(b"a-rather-long")
        terminal.resize(10, 40)
        terminal.output = b""
        terminal.read(1)
        frame = terminal.output.split(b"\x1b[H")[-2]
        lines = re.split(rb"\r+\n", re.sub(rb"\x1b\[[0-9?]*[a-zA-Z]", b"", frame))
        self.assertLessEqual(len(lines), 10)
        self.assertLessEqual(max(len(line) for line in lines), 40)
        terminal.key(b"q")
        self.ended(terminal, OK)

    def test_goes_on_while_the_broker_is_stopped_and_when_it_is_dead(self):
        broker = self.broker()
        broker.send("queue://kept", [b"x" * 3000] * 10)
        terminal = self.terminal(broker, "--interval", "100ms")
        terminal.await_text(rb"queue://kept")
        os.kill(broker.pid, signal.SIGSTOP)
        frame = terminal.await_text(rb"STOPPED(?s:.)*queue://kept")
        self.assertIn(b"queue://kept", frame)
        os.kill(broker.pid, signal.SIGCONT)
        broker.kill()
        terminal.await_text(rb"DEAD(?s:.)*queue://kept")
        terminal.key(b"q")
        self.ended(terminal, OK)

    def test_shows_rates_and_who_waits_for_memory_and_why_in_one_frame_of_json(self):
        broker = self.broker("--direct", "8M", "--heap", "16M")
        writer = self.spawn(broker, "send", "queue://full", "--count", "20000", "--size", "1000")
        steady = self.spawn(broker, "send", "queue://steady", "--count", "1000000", "--size", "10",
                            "--rate", "1000")
        self.spawn(broker, "recv", "queue://steady", "--follow", stdout=subprocess.DEVNULL)
        until(lambda: broker.destination("queue://full").get("blocked_producers") == 1)
        time.sleep(1)
        done = broker.weir("top", "--json", "--interval", "3s")
        self.assertEqual(done.returncode, OK, done.stderr)
        frame = json.loads(done.stdout)
        self.assertEqual(frame["broker"]["state"], "running")
        self.assertEqual(frame["destinations"][0]["name"], "queue://full")
        blocked = frame["blocked"][0]
        self.assertEqual((blocked["destination"], blocked["pid"]), ("queue://full", writer.pid))
        self.assertIn("full", blocked["reason"])
        self.assertGreater(blocked["waits_s"], 0.5)
        rates = {each["name"]: each for each in frame["destinations"]}
        self.assertGreater(rates["queue://steady"]["in_per_s"], 300)
        self.assertGreater(rates["queue://steady"]["out_per_s"], 300)
        self.assertEqual(rates["queue://full"]["in_per_s"], 0)
        steady.kill()

    def test_names_a_subscriber_that_is_far_behind(self):
        broker = self.broker()
        reader = self.spawn(broker, "recv", "topic://news")
        broker.await_consumers("topic://news", 1)
        os.kill(reader.pid, signal.SIGSTOP)
        writer = broker.weir("send", "topic://news", "--count", "100000", "--size", "10")
        self.assertEqual(writer.returncode, OK, writer.stderr)
        time.sleep(1.5)
        frame = json.loads(broker.weir("top", "--json").stdout)
        os.kill(reader.pid, signal.SIGCONT)
        self.assertEqual([(each["destination"], each["pid"]) for each in frame["slow"]],
                         [("topic://news", reader.pid)])
        self.assertGreater(frame["slow"][0]["behind"], 50_000)

    def test_prints_one_frame_into_a_pipe(self):
        broker = self.broker()
        broker.send("queue://one", [b"x"])
        done = broker.weir("top", "--interval", "10ms")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn(b"queue://one", done.stdout)
        self.assertNotIn(b"\x1b", done.stdout)


if __name__ == "__main__":
    stage.main()
