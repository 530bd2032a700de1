# SPDX-License-Identifier: Apache-2.0
"""Ten thousand destinations, each with a producer and a consumer: what each of them costs."""
import os

import stage
from stage import OK, SystemTest

MANY_DESTINATIONS = os.environ["MANY_DESTINATIONS"]
COUNT = 10_000
PAGE = 4096


class ManyDestinationsTest(SystemTest):
    def hold(self, scheme):
        broker = self.broker("--direct", "160M", "--heap", "128M", "--spill-dir", "none")
        before = broker.stat()
        process = self.client(broker, MANY_DESTINATIONS, f"{scheme}://many.", str(COUNT))
        held = broker.stat()
        self.assertEqual(len(held["destinations"]), COUNT)
        each = (held["heap"]["used"] - before["heap"]["used"]) / COUNT
        self.assertLessEqual(each, 6 * 1024)
        self.assertLessEqual(held["direct"]["used"], COUNT * PAGE)
        resident, charged = stage.private_memory(held)
        self.assertLessEqual(resident, charged)
        process.stdin.write(b"r")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"%d\n" % COUNT)
        doctor = broker.weir("doctor")
        self.assertEqual(doctor.returncode, OK, doctor.stdout.decode())

    def test_a_queue_with_a_producer_and_a_consumer_needs_six_kib_and_a_page(self):
        self.hold("queue")

    def test_a_topic_with_a_producer_and_a_consumer_needs_six_kib_and_a_page(self):
        self.hold("topic")


if __name__ == "__main__":
    stage.main()
