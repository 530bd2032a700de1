# SPDX-License-Identifier: Apache-2.0
"""What `weir plan` says is held against the books of brokers that hold the loads, and what the
books say against the memory that is resident."""
import json
import os

import stage
from stage import OK, USAGE, SystemTest, until

HOLD_LOAD = os.environ["HOLD_LOAD"]
EXAMPLE = {"connections": 50, "sessions": 5, "messages": 1000, "size": 1000}
NAMES = ("connections", "sessions", "messages", "size")


def options_of(load):
    return [word for name in NAMES for word in (f"--{name}", str(load[name]))]


def plan(load):
    done = stage.weir("plan", *options_of(load), "--json")
    assert done.returncode == OK, done.stderr.decode()
    return json.loads(done.stdout)


class PlanTest(SystemTest):
    def books_of(self, load):
        """A broker as the plan says, with the load at rest: what its books say is in use."""
        planned = plan(load)
        configure = planned["configure"]
        broker = self.broker("--direct", str(configure["direct"]), "--heap", str(configure["heap"]))
        self.client(broker, HOLD_LOAD, *(str(load[name]) for name in NAMES))
        messages = load["connections"] * load["sessions"] * load["messages"]
        seen = []

        def at_rest():
            now = broker.stat()
            seen.append(now["direct"]["used"])
            depth = sum(each["depth_messages"] for each in now["destinations"])
            return depth == messages and len(seen) > 100 and len(set(seen[-100:])) == 1 and now

        return planned, until(at_rest, seconds=60)

    def hold_against_books(self, load):
        planned, books = self.books_of(load)
        for resource in ("direct", "heap"):
            used = books[resource]["used"]
            self.assertLess(abs(planned[resource] - used), used * 0.05,
                            f"{resource}: planned {planned[resource]}, used {used} by {load}")
        resident, charged = stage.private_memory(books)
        self.assertLessEqual(resident, charged)
        return books

    def test_the_example_needs_what_the_plan_says_and_no_more_than_promised(self):
        books = self.hold_against_books(EXAMPLE)
        self.assertLessEqual(books["direct"]["used"], 300_000_000)
        self.assertLessEqual(books["heap"]["used"], 16_000_000)

    def test_many_small_messages(self):
        self.hold_against_books(dict(zip(NAMES, (4, 2, 20000, 100))))

    def test_large_messages(self):
        self.hold_against_books(dict(zip(NAMES, (3, 2, 10, 100_000))))

    def test_very_large_messages(self):
        self.hold_against_books(dict(zip(NAMES, (1, 1, 10, 5_000_000))))

    def test_many_connections_with_little(self):
        self.hold_against_books(dict(zip(NAMES, (100, 1, 10, 64))))

    def test_many_sessions_of_few_connections(self):
        self.hold_against_books(dict(zip(NAMES, (2, 500, 30, 500))))

    def test_a_first_page_that_stays_empty(self):
        self.hold_against_books(dict(zip(NAMES, (20, 1, 1, 5000))))

    def test_people_get_the_same_figures(self):
        planned = plan(EXAMPLE)
        done = stage.weir("plan", *options_of(EXAMPLE))
        self.assertEqual(done.returncode, OK)
        text = done.stdout.decode()
        for figure in (planned["direct"], planned["heap"]):
            self.assertIn(str(figure), text)
        self.assertIn(f"--direct {planned['configure']['direct'] >> 20}M", text)
        self.assertIn(f"--heap {planned['configure']['heap'] >> 20}M", text)

    def test_what_no_broker_can_hold_is_a_usage_error(self):
        for wrong in (["--connections", "0"], ["--connections", "9000", "--sessions", "9"],
                      ["--size", "2G"], ["--size", "many"], ["--messages", "-1"]):
            done = stage.weir("plan", *wrong)
            self.assertEqual(done.returncode, USAGE, wrong)
            self.assertEqual(done.stdout, b"")


if __name__ == "__main__":
    stage.main()
