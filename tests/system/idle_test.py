# SPDX-License-Identifier: Apache-2.0
"""Who waits uses no CPU: a parked consumer and an idle broker, under 5 ms in ten seconds each.

That is the median of three spans, for what the host takes from a virtual processor counts as the
process' own; how often they ran is bounded in each of them.
"""
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
        time.sleep(1.5)                 # until everybody has gone to sleep
        used_ms = {broker.pid: [], reader.pid: []}
        for _ in range(3):
            before = {pid: use_of(pid) for pid in used_ms}
            time.sleep(10)
            for pid, spans in used_ms.items():
                nanoseconds, times = (now - then for now, then in zip(use_of(pid), before[pid]))
                spans.append(nanoseconds / 1e6)
                print(f"# {spans[-1]:.2f} ms in {times} times")
                self.assertLess(times, 40)
        self.assertLess(statistics.median(used_ms[broker.pid]), 5)
        self.assertLess(statistics.median(used_ms[reader.pid]), 5)
        broker.send("queue://quiet", [b"y"])
        self.assertEqual(reader.stdout.readline(), b"y\n")


if __name__ == "__main__":
    stage.main()
