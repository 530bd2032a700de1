# SPDX-License-Identifier: Apache-2.0
"""Ten thousand destinations, a producer and a consumer each: they work, and what they cost."""
import os
import subprocess
import sys

import stage
from stage import SystemTest

MANY_DESTINATIONS = os.environ["MANY_DESTINATIONS"]
COUNT = 10_000
EACH_HEAP, EACH_DIRECT = 6 * 1024, 4096


class ManyTest(SystemTest):
    def hold(self, scheme):
        """The books with all of them open, one message sent and received by each."""
        broker = self.broker("--direct", "128M", "--heap", "64M")
        process = subprocess.Popen([MANY_DESTINATIONS, str(COUNT), scheme],
                                   env={**os.environ, "WEIR_NAME": broker.name},
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        received, opening, sending = process.stdout.readline().split()
        self.assertEqual(int(received), COUNT)
        books = broker.stat()
        self.resident_is_charged(broker, books)
        print(f"# {scheme}: opened in {opening.decode()} s, sent and received in "
              f"{sending.decode()} s; heap {books['heap']['used'] / COUNT:.0f} B and direct "
              f"{books['direct']['used'] / COUNT:.0f} B each", file=sys.stderr)
        return books

    def resident_is_charged(self, broker, books):
        """Anonymous memory of the broker is at most what it charged beside the shared regions."""
        regions = {}
        with open(f"/proc/{broker.pid}/maps", encoding="utf-8") as maps:
            for fields in map(str.split, maps):
                if len(fields) > 5 and "weir-" in fields[5] and "weir-direct" not in fields[5]:
                    first, last = (int(part, 16) for part in fields[0].split("-"))
                    regions[first] = last - first
        with open(f"/proc/{broker.pid}/status", encoding="utf-8") as status:
            resident = next(int(line.split()[1]) * 1024 for line in status
                            if line.startswith("RssAnon"))
        charged = books["heap"]["used"] - sum(regions.values())
        print(f"# resident outside the regions {resident}, charged {charged}", file=sys.stderr)
        self.assertGreater(len(regions), 100)
        self.assertLessEqual(resident, charged)

    def check(self, scheme):
        books = self.hold(scheme)
        self.assertEqual(len(books["destinations"]), COUNT)
        self.assertLessEqual(books["heap"]["used"], COUNT * EACH_HEAP)
        self.assertLessEqual(books["direct"]["used"], COUNT * EACH_DIRECT)

    def test_queues_need_six_kibibytes_and_a_smallest_page_each(self):
        self.check("queue")

    def test_topics_need_six_kibibytes_and_a_smallest_page_each(self):
        self.check("topic")


if __name__ == "__main__":
    stage.main()
