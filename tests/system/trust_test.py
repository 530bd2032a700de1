# SPDX-License-Identifier: Apache-2.0
"""What a hostile or broken client may send to the control socket: it harms nobody else.

The layout of a packet is core/protocol/messages.hpp: magic, kind, request; then the kind's fields.
"""
import array
import os
import random
import socket
import struct

import stage
from stage import OK, until

MAGIC = 0x52494557
HELLO, WELCOME, REFUSED, OPEN_PRODUCER, SETTLE, STOP = 1, 2, 3, 4, 10, 11


def header(kind, request=1, magic=MAGIC):
    return struct.pack("<IIQ", magic, kind, request)


def hello(version=2, fingerprint=0):
    return header(HELLO) + struct.pack("<IIQQ64s", version, os.getpid(), fingerprint, 0, b"test")


class Trust(stage.SystemTest):
    def setUp(self):
        self.served = self.broker()
        self.served.send("queue://kept", [b"kept"])
        # A session that lives through all of it.
        self.reader = self.spawn(self.served, "recv", "queue://steady", "--count", "1")
        self.served.await_consumers("queue://steady", 1)
        self.descriptors = self.count_descriptors()

    def tearDown(self):
        """Whatever came: the broker serves, the other session lives, nothing is lost or leaks."""
        self.served.send("queue://steady", [b"alive"])
        out, error = self.reader.communicate(timeout=20)
        self.assertEqual((self.reader.returncode, out), (OK, b"alive\n"), error)
        self.assertEqual(self.served.drain("queue://kept"), [b"kept"])
        until(lambda: self.count_descriptors() <= self.descriptors)
        self.assertTrue(stage.alive(self.served.pid))

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.served.pid}/fd"))

    def connect(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(client.close)
        client.settimeout(10)
        client.connect(str(stage.RUNTIME / f"{self.served.name}.sock"))
        return client

    @staticmethod
    def answer(client):
        """(kind, rest) of the next packet; nothing if the broker closed."""
        try:
            packet = client.recv(4096)
        except ConnectionError:
            return None
        return (struct.unpack_from("<I", packet, 4)[0], packet[16:]) if packet else None

    @staticmethod
    def push(client, packet):
        try:
            client.send(packet)
        except OSError:
            pass                        # the broker has hung up already

    def test_garbage_ends_the_session_that_sent_it(self):
        seed = random.randrange(1 << 32)
        print(f"# seed {seed}")
        chance = random.Random(seed)
        for turn in range(200):
            client = self.connect()
            for _ in range(chance.randrange(1, 4)):
                self.push(client, chance.randbytes(chance.choice([1, 15, 16, 17, 100, 1024, 4000])))
            if turn % 2:
                client.close()

    def test_every_kind_with_a_wrong_length_is_refused(self):
        for kind in [*range(0, 20), 0xFFFFFFFF]:
            for length in (0, 1, 7, 900):
                client = self.connect()
                self.push(client, header(kind) + b"\xff" * length)
                client.close()

    def test_a_client_of_another_build_is_told_so(self):
        for packet in (hello(version=77), hello(fingerprint=0xDEAD)):
            client = self.connect()
            client.send(packet)
            answer = self.answer(client)
            self.assertIsNotNone(answer)
            self.assertEqual(answer[0], REFUSED)
            self.assertIn(b"build", answer[1])

    def test_requests_before_the_hello_are_refused(self):
        destination = b"queue://x".ljust(256, b"\0")
        for kind, rest in ((SETTLE, b""), (STOP, bytes(8)), (OPEN_PRODUCER, destination)):
            client = self.connect()
            self.push(client, header(kind) + rest)
            answer = self.answer(client)
            self.assertTrue(answer is None or answer[0] == REFUSED, answer)

    def test_descriptors_that_nobody_asked_for_are_closed(self):
        for _ in range(50):
            client = self.connect()
            with open("/dev/null", "rb") as null:
                rights = array.array("i", [null.fileno()] * 8)
                client.sendmsg([header(99)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            client.close()

    def test_connections_that_say_nothing_stop_nobody(self):
        clients = [self.connect() for _ in range(100)]
        self.assertEqual(self.served.destination("queue://kept")["depth_messages"], 1)
        for client in clients:
            client.close()

    def test_a_client_that_does_not_read_its_answers_stops_nobody(self):
        client = self.connect()
        client.setblocking(False)
        for _ in range(2000):
            self.push(client, header(SETTLE))
        self.assertEqual(self.served.destination("queue://kept")["depth_messages"], 1)
        client.close()


if __name__ == "__main__":
    stage.main()
