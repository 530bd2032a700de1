# SPDX-License-Identifier: Apache-2.0
"""What system tests share: real brokers under names of their own, and the program as users run it.

WEIR_PROGRAM names the program. Each broker has a name that nobody else uses, and an ordinary user's
a runtime directory of its own, so tests disturb neither each other nor a broker in use. What
a test started is ended when it ends, by its process id.
"""
import atexit
import glob
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap  # noqa: E402  (from the folder above)

PROGRAM = os.environ["WEIR_PROGRAM"]
OK, FAILED, USAGE, LIMIT, NO_BROKER = 0, 1, 2, 3, 4
ROOT = os.geteuid() == 0

_base = tempfile.mkdtemp(prefix="weir-test-")
atexit.register(shutil.rmtree, _base, ignore_errors=True)
_numbers = itertools.count(1)
# A test that is about flow to disk names its directory.
os.environ["WEIR_SPILL_DIR"] = "none"
if not ROOT:
    os.environ["XDG_RUNTIME_DIR"] = _base
RUNTIME = pathlib.Path("/run/weir" if ROOT else f"{_base}/weir")


def new_name():
    return f"t{os.getpid()}-{next(_numbers)}"


def weir(*arguments, name=None, stdin=b"", env=None, timeout=50):
    """Runs the program to its end; bytes in, bytes out."""
    environment = {**os.environ, **(env or {})}
    if name:
        environment["WEIR_NAME"] = name
    return subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, check=False,
                          env=environment, timeout=timeout)


def until(condition, seconds=20):
    """The first true value of condition(); an error if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except KeyError:  # a destination that is not there yet has no books
            value = False
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {condition}")
        time.sleep(0.02)


def private_memory(books):
    """What is resident of the broker's private memory, and what it charged beside the regions."""
    pid = books["broker"]["pid"]
    regions = {}
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for fields in map(str.split, maps):
            if len(fields) > 5 and "weir-" in fields[5] and "weir-direct" not in fields[5]:
                first, last = (int(part, 16) for part in fields[0].split("-"))
                regions[first] = last - first
    assert len(regions) > 2, "control, signals, and an exchange for each session"
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        resident = next(int(line.split()[1]) * 1024 for line in status
                        if line.startswith("RssAnon"))
    return resident, books["heap"]["used"] - sum(regions.values())


def lines_of(output):
    """Messages as `weir recv` printed them; bytes.splitlines() would also end a line at a \\r."""
    return output.split(b"\n")[:-1]


def alive(pid):
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def leftovers(name):
    """What stands on this machine under a broker's name."""
    shared = glob.glob(f"/dev/shm/weir-{os.geteuid()}-{name}*")
    return shared + [str(path) for path in RUNTIME.glob(f"{name}.*")]


class Broker:
    """A broker in the background, and commands that talk to it."""

    def __init__(self, *options, name=None):
        self.name = name or new_name()
        self.options = options
        self.pid = None
        self.started = None

    def start(self):
        self.started = self.weir("broker", *self.options)
        assert self.started.returncode == OK, self.started.stderr.decode()
        self.pid = self.stat()["broker"]["pid"]
        return self

    def weir(self, *arguments, stdin=b"", **more):
        return weir(*arguments, name=self.name, stdin=stdin, **more)

    def spawn(self, *arguments, **more):
        """Starts the program beside the test; its pipes are unbuffered bytes."""
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                    "stderr": subprocess.PIPE, **more}
        return subprocess.Popen([PROGRAM, *arguments], env={**os.environ, "WEIR_NAME": self.name},
                                **settings)

    def send(self, destination, lines):
        done = self.weir("send", destination, stdin=b"".join(line + b"\n" for line in lines))
        assert done.returncode == OK, done.stderr.decode()

    def drain(self, destination):
        done = self.weir("recv", destination, "--drain")
        assert done.returncode == OK, done.stderr.decode()
        return lines_of(done.stdout)

    def stat(self):
        done = self.weir("stat", "--json")
        assert done.returncode == OK, done.stderr.decode()
        return json.loads(done.stdout)

    def destination(self, name):
        """Its books, or zeros if it does not exist."""
        found = [each for each in self.stat()["destinations"] if each["name"] == name]
        return found[0] if found else {"consumers": 0, "producers": 0, "depth_messages": 0,
                                       "messages_in": 0, "messages_out": 0, "direct_bytes": 0}

    def await_consumers(self, name, count):
        until(lambda: self.destination(name)["consumers"] >= count)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not alive(self.pid))

    def end(self):
        if self.pid is not None and alive(self.pid):
            os.kill(self.pid, signal.SIGTERM)
            until(lambda: not alive(self.pid))


class SystemTest(unittest.TestCase):
    """A test with brokers, processes and a folder that end with it."""

    def broker(self, *options, name=None):
        broker = Broker(*(options or ("--direct", "32M", "--heap", "16M")), name=name)
        self.addCleanup(self.clear, broker)
        return broker.start()

    @staticmethod
    def clear(broker):
        broker.end()
        # What a killed broker left stays until the next one of its name: remove it as that would.
        for path in leftovers(broker.name):
            pathlib.Path(path).unlink(missing_ok=True)

    def client(self, broker, *command):
        """A client of a broker that says "ready" and then stands, until its input ends."""
        process = subprocess.Popen(command, env={**os.environ, "WEIR_NAME": broker.name},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def spawn(self, broker, *arguments, **more):
        process = broker.spawn(*arguments, **more)
        self.addCleanup(self.end_process, process)
        return process

    @staticmethod
    def end_process(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()

    def watch(self, broker):
        """Starts to watch what is held, from outside and without the books, each millisecond;
        returns what ends it and says what was seen."""
        process = subprocess.Popen([os.environ["WATCH_LIMITS"], broker.name], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.end_process, process)
        self.assertEqual(process.stdout.readline(), b"watching\n")
        return lambda: json.loads(process.communicate(timeout=20)[0])

    def folder(self):
        path = pathlib.Path(tempfile.mkdtemp(dir=_base))
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        return path

    def same(self, got, wanted):
        """Two lists of messages are equal; says where they differ first and prints no more."""
        for at, (one, other) in enumerate(zip(got, wanted)):
            if one != other:
                self.fail(f"message {at} of {len(wanted)}: got {len(one)} bytes {one[:40]}..., "
                          f"wanted {len(other)} bytes {other[:40]}...")
        self.assertEqual(len(got), len(wanted), "as many messages as were sent")

    def check(self, done, code, *parts):
        """A command ended with `code`, and its error says all `parts` in one line."""
        error = done.stderr.decode()
        self.assertEqual(done.returncode, code, error)
        for part in parts:
            self.assertIn(part, error)
        if code != OK:
            self.assertEqual(len(error.splitlines()), 1, error)
            self.assertTrue(error.startswith("weir"), error)


main = tap.main
