# SPDX-License-Identifier: Apache-2.0
"""Many times the memory through a queue, with consumers that stop and are killed at random.

5 GiB through 256 MiB of direct memory, or 1 GiB through 51 MiB where the disk has less than 16 GiB
free; FLOOD_BYTES and FLOOD_SEED choose otherwise. What it does not show: a disk that fails, and
deaths of the broker.
"""
import os
import random
import shutil
import subprocess
import tempfile

import stage
from stage import OK, until

FLOOD = os.environ["FLOOD"]
ROOM = shutil.disk_usage(tempfile.gettempdir()).free
BYTES = int(os.environ.get("FLOOD_BYTES", 5 << 30 if ROOM > 16 << 30 else 1 << 30))


class Flood(stage.SystemTest):
    def test_every_message_is_acknowledged_once_whatever_dies(self):
        folder = self.folder()
        seed = os.environ.get("FLOOD_SEED", str(random.randrange(1 << 32)))
        broker = self.broker("--direct", str(BYTES // 20 // 4096 * 4096), "--heap", "32M",
                             "--spill-dir", str(folder))
        done = subprocess.run([FLOOD, broker.name, "queue://flood", str(BYTES), "2", "2", seed],
                              capture_output=True, timeout=1500, check=False)
        self.assertEqual(done.returncode, OK, (done.stdout + done.stderr)[-4000:])
        print("# seed", seed, done.stdout.decode().strip())
        until(lambda: broker.destination("queue://flood")["depth_messages"] == 0)
        seen = broker.stat()
        print("# disk", seen["disk"])
        self.assertLessEqual(seen["direct"]["peak"], seen["direct"]["capacity"])
        self.assertGreater(seen["disk"]["bytes_written"], BYTES // 5)
        self.assertEqual(broker.destination("queue://flood")["damaged"], 0)
        until(lambda: os.listdir(folder) == [])
        until(lambda: broker.stat()["disk"]["used"] == 0)
        doctor = broker.weir("doctor")
        self.assertEqual(doctor.returncode, OK, doctor.stdout.decode())


if __name__ == "__main__":
    stage.main()
