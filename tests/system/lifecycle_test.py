# SPDX-License-Identifier: Apache-2.0
"""A broker's life: it starts, is the only one of its name, ends, and leaves nothing behind."""
import os
import signal
import subprocess
import threading

import stage
from stage import FAILED, NO_BROKER, OK, alive, leftovers, until


class Lifecycle(stage.SystemTest):
    def test_a_broker_returns_when_clients_can_connect_and_prints_pid_and_socket(self):
        broker = self.broker()
        printed = broker.started.stdout.decode()
        self.assertIn(str(broker.pid), printed)
        self.assertIn(str(stage.RUNTIME / f"{broker.name}.sock"), printed)
        self.assertTrue(alive(broker.pid))

    def test_a_second_broker_of_a_name_is_refused_and_the_first_goes_on(self):
        broker = self.broker()
        broker.send("queue://kept", [b"one"])
        second = broker.weir("broker", "--direct", "32M")
        self.check(second, FAILED, "already runs", str(broker.pid), "weir stop")
        self.assertEqual(broker.drain("queue://kept"), [b"one"])

    def test_a_stopped_broker_says_what_it_discarded_and_leaves_nothing(self):
        broker = self.broker()
        broker.send("queue://lost", [b"12345"] * 7)
        done = broker.weir("stop")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn(b"7 messages", done.stdout)
        self.assertIn(b"35 B", done.stdout)
        until(lambda: not alive(broker.pid))
        self.assertEqual(leftovers(broker.name), [])

    def test_sigterm_ends_a_broker_as_stop_does(self):
        broker = self.broker()
        broker.send("queue://lost", [b"1"])
        os.kill(broker.pid, signal.SIGTERM)
        until(lambda: not alive(broker.pid))
        self.assertEqual(leftovers(broker.name), [])
        self.check(broker.weir("stat"), NO_BROKER, broker.name, "weir broker")

    def test_stop_with_drain_waits_for_consumers(self):
        broker = self.broker()
        broker.send("queue://last", [b"%d" % number for number in range(500)])
        out = self.folder() / "out"
        with open(out, "wb") as file:
            reader = self.spawn(broker, "recv", "queue://last", "--follow", stdout=file)
            broker.await_consumers("queue://last", 1)
            done = broker.weir("stop", "--drain=20s")
            self.assertEqual(done.returncode, OK, done.stderr)
            reader.wait(20)
        self.assertIn(b"0 messages", done.stdout)
        self.assertEqual(out.read_bytes().splitlines(), [b"%d" % number for number in range(500)])

    def test_what_a_killed_broker_left_is_cleaned_by_the_next_start_which_says_so(self):
        broker = self.broker()
        broker.send("queue://lost", [b"12345"] * 3)
        broker.stat()
        killed = broker.pid
        broker.kill()
        broker.start()
        said = broker.started.stderr.decode() + broker.started.stdout.decode()
        self.assertIn(str(killed), said)
        self.assertIn("3 messages", said)
        self.assertEqual(broker.drain("queue://lost"), [])
        broker.weir("stop")
        until(lambda: not alive(broker.pid))
        self.assertEqual(leftovers(broker.name), [])

    def test_the_books_of_a_killed_broker_can_still_be_read(self):
        broker = self.broker()
        broker.send("queue://seen", [b"1", b"2"])
        self.assertEqual(broker.destination("queue://seen")["depth_messages"], 2)
        broker.kill()
        done = broker.weir("stat")
        self.check(done, NO_BROKER, "dead")
        self.assertIn(b"queue://seen", done.stdout)

    def test_two_brokers_at_once_do_not_know_each_other(self):
        first, second = self.broker(), self.broker()
        first.send("queue://same", [b"first"])
        second.send("queue://same", [b"second"])
        self.assertEqual(first.drain("queue://same"), [b"first"])
        self.assertEqual(second.drain("queue://same"), [b"second"])
        second.weir("stop")
        first.send("queue://same", [b"still there"])
        self.assertEqual(first.drain("queue://same"), [b"still there"])

    def test_a_broker_in_the_foreground_stays_until_sigterm(self):
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        process = self.spawn(broker, "broker", "--foreground", "--direct", "32M")
        line = process.stdout.readline().decode()
        self.assertIn(str(process.pid), line)
        broker.send("queue://any", [b"one"])
        self.assertEqual(broker.drain("queue://any"), [b"one"])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), OK)
        self.assertEqual(leftovers(broker.name), [])

    def test_check_prints_the_settings_and_starts_nothing(self):
        broker = stage.Broker()
        done = broker.weir("broker", "--check", "--direct", "48M")
        self.assertEqual(done.returncode, OK, done.stderr)
        self.assertIn(str(48 << 20).encode(), done.stdout)
        self.assertEqual(leftovers(broker.name), [])

    def test_start_starts_a_private_broker_that_ends_with_its_last_session(self):
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        reader = self.spawn(broker, "recv", "queue://private", "--start", "--count", "2")
        until(lambda: broker.weir("stat").returncode == OK)
        broker.pid = broker.stat()["broker"]["pid"]
        sent = broker.weir("send", "queue://private", "--start", stdin=b"one\ntwo\n")
        self.assertEqual(sent.returncode, OK, sent.stderr)
        out, error = reader.communicate(timeout=20)
        self.assertEqual((reader.returncode, out), (OK, b"one\ntwo\n"), error)
        until(lambda: not alive(broker.pid))
        self.assertEqual([path for path in leftovers(broker.name) if ".start" not in path], [])

    def test_a_private_broker_whose_last_session_was_somebody_elses_is_started_again(self):
        """`weir stat` may come and go before the client attaches that it was started for."""
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        done = threading.Event()

        def look():
            while not done.is_set():
                broker.weir("stat")

        lookers = [threading.Thread(target=look) for _ in range(3)]
        for looker in lookers:
            looker.start()
        try:
            for _ in range(40):
                sent = broker.weir("send", "queue://private", "--start", stdin=b"x\n")
                self.assertEqual(sent.returncode, OK, sent.stderr)
        finally:
            done.set()
            for looker in lookers:
                looker.join()

    def test_of_many_that_start_at_once_one_starts_the_broker(self):
        broker = stage.Broker()
        self.addCleanup(self.clear, broker)
        readers = [self.spawn(broker, "recv", "queue://race", "--start", "--timeout", "20s",
                              "--count", "1") for _ in range(6)]
        until(lambda: broker.weir("stat").returncode == OK)
        broker.await_consumers("queue://race", 6)
        broker.pid = broker.stat()["broker"]["pid"]
        broker.send("queue://race", [b"1"] * 600)
        for reader in readers:
            out, error = reader.communicate(timeout=20)
            self.assertEqual((reader.returncode, out), (OK, b"1\n"), error)
        until(lambda: not alive(broker.pid))

    def test_a_client_without_a_broker_says_how_to_start_one(self):
        broker = stage.Broker()
        for command in (["send", "queue://x"], ["recv", "queue://x"], ["stat"], ["stop"]):
            with self.subTest(command=command[0]):
                done = broker.weir(*command)
                self.check(done, NO_BROKER, broker.name)
                self.assertEqual(done.stdout, b"")
                if command[0] != "stop":
                    self.assertIn(b"weir broker", done.stderr)

    def test_clients_notice_that_their_broker_was_killed(self):
        broker = self.broker()
        reader = self.spawn(broker, "recv", "queue://gone")
        writer = self.spawn(broker, "send", "queue://gone2", stdin=subprocess.PIPE)
        broker.await_consumers("queue://gone", 1)
        broker.kill()
        self.assertEqual(reader.wait(20), FAILED)
        # More than can have been granted; communicate() bears it that nobody reads it to the end.
        _, error = writer.communicate(b"0123456789\n" * 4_000_000, timeout=40)
        self.assertEqual(writer.returncode, FAILED, error)


if __name__ == "__main__":
    stage.main()
