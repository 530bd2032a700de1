# SPDX-License-Identifier: Apache-2.0
"""Who waits uses no CPU: a parked consumer and an idle broker, under 5 ms in ten seconds each.

What the host takes from a virtual processor counts as the process' own, so one calm span of ten
seconds out of three is enough; who polls uses too much in all of them.
"""
import time

import stage


def cpu_ns(pid):
    """Time on a processor of all threads, from the scheduler's own books."""
    total = 0
    for path in stage.glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


class Idle(stage.SystemTest):
    def test_parked_consumers_and_an_idle_broker_use_no_cpu(self):
        broker = self.broker()
        broker.send("queue://quiet", [b"x"])
        reader = self.spawn(broker, "recv", "queue://quiet")
        broker.await_consumers("queue://quiet", 1)
        self.assertEqual(reader.stdout.readline(), b"x\n")
        time.sleep(1.5)                 # until everybody has gone to sleep
        for _ in range(3):
            before = {pid: cpu_ns(pid) for pid in (broker.pid, reader.pid)}
            time.sleep(10)
            used_ms = {pid: (cpu_ns(pid) - before[pid]) / 1e6 for pid in before}
            print(f"# broker {used_ms[broker.pid]:.2f} ms, consumer {used_ms[reader.pid]:.2f} ms")
            if max(used_ms.values()) < 5:
                break
        self.assertLess(used_ms[broker.pid], 5)
        self.assertLess(used_ms[reader.pid], 5)
        broker.send("queue://quiet", [b"y"])
        self.assertEqual(reader.stdout.readline(), b"y\n")


if __name__ == "__main__":
    stage.main()
