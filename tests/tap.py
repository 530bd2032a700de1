# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of a script and reports each of them (Test Anything Protocol).

A test's name is the first line of its docstring, else its method's name. Every case has a time-out:
a test that hangs is a failed test with a name, not a build that never ends.

    class Send(unittest.TestCase):
        def test_refuses_a_pattern(self): ...

    if __name__ == "__main__":
        tap.main()
"""
import signal
import sys
import traceback
import unittest

TIMEOUT_S = 60


class TimedOut(Exception):
    pass


def _on_alarm(_signal, _frame):
    raise TimedOut(f"did not end within {TIMEOUT_S} s")


class _TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.bad = False

    def startTest(self, test):
        super().startTest(test)
        self.subtests_failed = False
        signal.alarm(TIMEOUT_S)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def _report(self, verdict, test, note=""):
        self.number += 1
        name = test.id().removeprefix("__main__.").replace("#", "no. ")
        print(f"{verdict} {self.number} - {name}{note}", flush=True)

    def _refuse(self, test, error):
        self.bad = True
        for line in "".join(traceback.format_exception(*error)).splitlines():
            print(f"# {line}")
        self._report("not ok", test)

    def addSuccess(self, test):
        if not self.subtests_failed:
            self._report("ok", test)

    def addSkip(self, test, reason):
        self._report("ok", test, f" # SKIP {reason}")

    def addError(self, test, error):
        self._refuse(test, error)

    def addFailure(self, test, error):
        self._refuse(test, error)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self.subtests_failed = True
            self._refuse(subtest, error)


def main():
    signal.signal(signal.SIGALRM, _on_alarm)
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = _TapResult()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    if result.number == 0:
        print("Bail out! no test was found", flush=True)
    sys.exit(1 if result.bad or result.number == 0 else 0)
