"""What the tests written in Python share: TAP, the emulator, and psql.

Everything is on loopback or a socket and on free ports, and ends with the test. Must not judge anything.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = int(os.environ.get("PG_TEST_TIMEOUT_DEFAULT") or 180)     # seconds to wait for what must come; a busy machine takes its time


class Tap:
    """Counts and prints tests."""

    def __init__(self):
        self.number = self.failed = 0

    def ok(self, good, what, *more):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {what}", flush=True)
        if not good:
            for line in more:
                for part in str(line).splitlines():
                    print("#   " + part, flush=True)
        return good

    def skip(self, why):
        self.number += 1
        print(f"ok {self.number} # SKIP {why}", flush=True)

    def same(self, got, wanted, what):
        return self.ok(got == wanted, what, f"got:    {got!r}", f"wanted: {wanted!r}")

    def close(self):
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed or not self.number else 0


class Emulator:
    """The payment API and the widget's script."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, "-B", HERE + "/../../emulator/emulator.py", "--until-eof"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        if len(line) != 2:
            raise RuntimeError("the emulator did not start")
        self.url = line[1]
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def control(self, action, **body):
        """One call of a control route."""
        return self.call(action, json.dumps(body).encode())

    def get(self, what):
        """One question to a control route."""
        return self.call(what, None)

    def call(self, action, data):
        request = urllib.request.Request(f"{self.url}/_emu/{action}", data)
        try:
            with self.opener.open(request, timeout=PATIENCE + 30) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as trouble:
            raise RuntimeError(f"{action}: {trouble.read().decode()}") from None

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class SqlError(Exception):
    """What the database refused; args[0] is its words."""


def sql(text, **variables):
    """The only value that the last statement gives; variables are used as :'name'."""
    command = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", "postgres", "-f", "-"]
    for name, value in variables.items():
        command += ["-v", f"{name}={value}"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", timeout=PATIENCE,
                          env=dict(os.environ, PGCLIENTENCODING="UTF8"))
    if done.returncode:
        raise SqlError(done.stderr)
    return done.stdout.removesuffix("\n")
