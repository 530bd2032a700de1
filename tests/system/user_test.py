# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's broker is that user's: it needs no root, and nobody else gets in.

Run by root it plays the user "nobody"; run by an ordinary user, that user is the one.
"""
import json
import os
import pathlib
import pwd
import shutil
import subprocess

import stage
from stage import FAILED, LIMIT, NO_BROKER, OK, USAGE, alive, until


class OrdinaryUser(stage.SystemTest):
    def setUp(self):
        self.home = self.folder()
        self.program = stage.PROGRAM
        self.become = {}
        if stage.ROOT:
            nobody = pwd.getpwnam("nobody")
            # The build may stand where nobody may not look.
            self.program = shutil.copy(stage.PROGRAM, self.home / "weir")
            self.become = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
            for folder in (self.home, self.home.parent):
                folder.chmod(0o755)
        self.runtime = self.home / "run"
        self.runtime.mkdir(mode=0o700)
        if stage.ROOT:
            os.chown(self.runtime, self.become["user"], self.become["group"])
        self.name = stage.new_name()
        self.addCleanup(self.stop)

    def run_as_user(self, *arguments, stdin=b"", runtime=None):
        env = {"PATH": os.environ["PATH"], "WEIR_NAME": self.name, "WEIR_SPILL_DIR": "none",
               "XDG_RUNTIME_DIR": str(runtime or self.runtime)}
        if runtime == "":
            del env["XDG_RUNTIME_DIR"]
        return subprocess.run([self.program, *arguments], input=stdin, capture_output=True,
                              env=env, cwd="/", timeout=40, check=False, **self.become)

    def stop(self):
        self.run_as_user("stop")

    def test_a_broker_serves_its_user_and_leaves_nothing(self):
        started = self.run_as_user("broker", "--direct", "16M")
        self.check(started, OK)
        socket = self.runtime / "weir" / f"{self.name}.sock"
        self.assertIn(str(socket).encode(), started.stdout)
        self.check(self.run_as_user("send", "queue://own", stdin=b"one\ntwo\n"), OK)
        self.assertEqual(self.run_as_user("recv", "queue://own", "--drain").stdout, b"one\ntwo\n")
        pid = json.loads(self.run_as_user("stat", "--json").stdout)["broker"]["pid"]
        self.check(self.run_as_user("stop"), OK)
        until(lambda: not alive(pid))
        self.assertEqual(list(self.runtime.rglob("*.*")), [])
        self.assertEqual(list(pathlib.Path("/dev/shm").glob(f"weir-*-{self.name}*")), [])

    def test_without_a_runtime_directory_the_error_says_what_to_set(self):
        if not stage.ROOT and os.geteuid() == 0:
            self.skipTest("root has /run")
        self.check(self.run_as_user("broker", "--direct", "16M", runtime=""), FAILED,
                   "XDG_RUNTIME_DIR")

    def send_numbers(self, count, *more):
        return self.run_as_user("send", "queue://big", "--count", str(count), "--size", "1000",
                                *more)

    def test_a_spill_directory_that_may_not_be_written_any_more_throttles_until_it_may(self):
        spill = self.home / "spill"
        spill.mkdir()
        if stage.ROOT:
            os.chown(spill, self.become["user"], self.become["group"])
        self.check(self.run_as_user("broker", "--direct", "8M", "--heap", "16M", "--spill-dir",
                                    str(spill)), OK)
        spill.chmod(0o555)
        self.check(self.send_numbers(200_000, "--timeout", "1s"), LIMIT, "spill directory")
        seen = json.loads(self.run_as_user("stat", "--json").stdout)
        self.assertEqual(seen["disk"]["trouble"]["reason"], "denied")
        kept = [one for one in seen["destinations"] if one["name"] == "queue://big"]
        kept = kept[0]["depth_messages"]
        self.assertGreater(kept, 4_000)
        spill.chmod(0o755)
        self.check(self.send_numbers(40_000), OK)
        done = self.run_as_user("recv", "queue://big", "--count", str(kept + 40_000))
        numbers = [int(line[:10]) for line in stage.lines_of(done.stdout)]
        self.assertEqual(numbers, list(range(kept)) + list(range(40_000)))
        seen = json.loads(self.run_as_user("stat", "--json").stdout)
        self.assertIsNone(seen["disk"]["trouble"])

    def test_a_spill_directory_of_somebody_else_is_refused_at_start(self):
        spill = self.home / "spill"
        spill.mkdir()
        spill.chmod(0o555)
        self.check(self.run_as_user("broker", "--direct", "8M", "--spill-dir", str(spill)), USAGE,
                   "cannot be written")

    @stage.unittest.skipUnless(stage.ROOT, "needs a second user")
    def test_another_user_does_not_get_in(self):
        broker = self.broker()
        self.name = broker.name
        done = self.run_as_user("recv", "queue://x", "--timeout", "1s")
        self.check(done, NO_BROKER)
        mode = stage.RUNTIME.stat().st_mode & 0o777
        self.assertEqual(mode & 0o077, 0, "the folder of the sockets is closed to others")
        shared = pathlib.Path(f"/dev/shm/weir-0-{broker.name}")
        self.assertEqual(shared.stat().st_mode & 0o777, 0o600)
        self.name = "none-of-nobody"


if __name__ == "__main__":
    stage.main()
