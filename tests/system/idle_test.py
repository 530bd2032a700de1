# SPDX-License-Identifier: Apache-2.0
"""Who waits uses no CPU: parked consumers and an idle broker, under 5 ms in ten seconds each.

That is the median of three spans, for what the host takes from a virtual processor counts as the
process' own; how often they ran is bounded in each of them: a broker at rest looks around every
four seconds, who sleeps or waits for a descriptor every ten. Both learn of a broker's death at
once.
"""
import os
import signal
import statistics
import time

import stage


def use_of(pid):
    """Nanoseconds on a processor and times there, of all threads, by the scheduler's own books."""
    total = [0, 0]
    for path in stage.glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            nanoseconds, _, times = map(int, file.read().split())
            total = [total[0] + nanoseconds, total[1] + times]
    return total


class Idle(stage.SystemTest):
    def test_parked_consumers_and_an_idle_broker_use_no_cpu(self):
        broker = self.broker()
        broker.send("queue://quiet", [b"x"])
        reader = self.spawn(broker, "recv", "queue://quiet")
        broker.await_consumers("queue://quiet", 1)
        self.assertEqual(reader.stdout.readline(), b"x\n")
        time.sleep(6)                   # until everybody has gone to rest
        used_ms = {broker.pid: [], reader.pid: []}
        times_most = {broker.pid: 6, reader.pid: 4}
        for _ in range(3):
            before = {pid: use_of(pid) for pid in used_ms}
            time.sleep(10)
            for pid, spans in used_ms.items():
                nanoseconds, times = (now - then for now, then in zip(use_of(pid), before[pid]))
                spans.append(nanoseconds / 1e6)
                print(f"# {spans[-1]:.2f} ms in {times} times")
                self.assertLessEqual(times, times_most[pid])
        self.assertLess(statistics.median(used_ms[broker.pid]), 5)
        self.assertLess(statistics.median(used_ms[reader.pid]), 5)
        broker.send("queue://quiet", [b"y"])
        self.assertEqual(reader.stdout.readline(), b"y\n")

    def test_who_sleeps_learns_of_a_killed_broker_long_before_it_would_look(self):
        broker = self.broker()
        # Two of them: the kernel wakes one, which wakes the other.
        readers = [self.spawn(broker, "recv", "queue://quiet") for _ in range(2)]
        broker.await_consumers("queue://quiet", 2)
        time.sleep(2)                   # beyond the slices that recv begins with
        began = time.monotonic()
        os.kill(broker.pid, signal.SIGKILL)
        for reader in readers:
            self.assertEqual(reader.wait(30), stage.FAILED)
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    stage.main()
