"""mutants.py RUN [NAME ...] - makes slips in the sources, one at a time, and says which test notices each.

Runs in the folder that run.sh stages, as the user of that folder; RUN is where the scripts are that start a server.
A slip that no test notices counts as failed, and so does one that cannot be made: its text is not found exactly once,
or what comes out does not compile. Must not change anything outside the folder, nor take a test that fails anyway for
one that has noticed something: all tests are run once without a slip before.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMITS = {"make": 900, "unit": 120, "server": 180, "tap": 900}     # seconds; a slip may well make a test hang
# Quick to compile. What gcc has to say of a slip is of no interest.
MAKE = ["make", "-s", f"-j{os.cpu_count()}", "with_llvm=no", "COPT=-O0"]
UNIT = ["make", "-s", f"-j{os.cpu_count()}", "-C", "test/unit", "WARN="]
# 77: the install script is not SQL any more.
SERVER = ["sh", "-c", "psql -qX -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION inqud' -c 'DROP EXTENSION inqud' || exit 77; "
          'exec make -s installcheck "$@"', "installcheck"]


class Unusable(Exception):
    """A slip, or a test, that is of no use; args[0] says why."""


class Mutant:
    """One entry of a list."""

    def __init__(self, name):
        self.name = name
        self.kind = ""
        self.seen = {}
        self.old = []
        self.new = []

    def texts(self):
        return "\n".join(self.old), "\n".join(self.new)


def read_list(path):
    """The entries of a list; README.md says how they are written."""
    mutants = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            word, _, rest = line.partition(" ")
            if word == "mutant":
                mutants.append(Mutant(rest))
            elif word == "kind":
                mutants[-1].kind = rest
            elif word == "seen":
                mutants[-1].seen = {part: names.split(",") for part, names in (item.split("=") for item in rest.split())}
            elif word in ("-", "+"):
                (mutants[-1].old if word == "-" else mutants[-1].new).append(rest)
            elif line and word != "#":
                raise SystemExit(f"{path}:{number}: not understood: {line}")
    return mutants


def read_lists():
    """The entries of all lists."""
    mutants = [mutant for path in sorted(glob.glob(os.path.join(HERE, "*.txt"))) for mutant in read_list(path)]
    if len({mutant.name for mutant in mutants}) < len(mutants):
        raise SystemExit("There are two mutants of one name.")
    return mutants


def read_sources():
    """The text of each source file by its path. An install script that is made of parts is no source."""
    paths = [os.path.join(folder, file) for top in ("src", "sql") for folder, _, files in os.walk(top) for file in files
             if file.endswith((".c", ".h", ".sql"))]
    scripts = [path for path in paths if is_install_script(path)]
    if any(path.endswith(".sql") for path in paths if path not in scripts):
        paths = [path for path in paths if path not in scripts]
    texts = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            texts[path] = file.read()
    return texts


def is_install_script(path):
    return re.match(r"inqud--.*\.sql$", os.path.basename(path)) is not None


def locate(mutant, sources):
    """The file in which the text of a slip stands."""
    old, new = mutant.texts()
    if not old or old == new or not mutant.kind or not mutant.seen:
        raise Unusable("the entry is not complete")
    found = [path for path, text in sources.items() for _ in range(text.count(old))]
    if len(found) != 1:
        raise Unusable(f"its text is found {len(found)} times: {old}")
    return found[0]


def write(path, text):
    """Write a source file. All objects depend on a whole install script; make installs it whatever its age."""
    before = os.stat(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    if is_install_script(path):
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def run(limit, command, env=None):
    """Exit status and output of a command; None as the status when it did not end in time."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, env={**os.environ, **(env or {})})
    try:
        output = process.communicate(timeout=LIMITS[limit])[0]
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            output = process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
        status = None
    return status, output.decode(errors="replace")


def build(command):
    status, output = run("make", command)
    if status != 0:
        raise Unusable("does not compile:\n" + output)


class Tests:
    """The tests of this project, each of which can say that it fails."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.output = ""    # of the test that failed last

    def failures(self, seen):
        """The first of the named tests that fail, the cheapest parts first; empty if none does."""
        for part in ("unit", "server", "tap"):
            found = getattr(self, part)(seen)
            if found:
                return found
        return []

    def unit(self, seen):
        failed = []
        for name in seen.get("unit", []):
            build(UNIT + [f"build/test_{name}"])
            status, output = run("unit", [f"test/unit/build/test_{name}"])
            if status != 0:
                failed.append(f"unit {name}")
                self.output = output
        return failed

    def server(self, seen):
        """Regression tests and then isolation tests, on one server."""
        regress, isolation = seen.get("regress", []), seen.get("isolation", [])
        if not regress and not isolation and "tap" not in seen:
            return []
        build(MAKE + ["install"])
        status, output = run("server", [self.scripts + "/server.sh"] + SERVER
                             + ["REGRESS=" + " ".join(regress), "ISOLATION=" + " ".join(isolation)])
        if status == 77:
            raise Unusable("cannot be installed:\n" + output)
        names = re.findall(r"^(?:test| {4}) +(\S+) +\.\.\. FAILED|^not ok \d+ +[-+] (\S+)", output, re.MULTILINE)
        failed = [f"{'regress' if name in regress else 'isolation'} {name}" for name in (a or b for a, b in names)]
        if status is None:
            failed.append("a test on a server that does not end")
        elif status != 0 and not failed:
            raise Unusable("the tests on a server ended badly:\n" + output)
        self.output = output
        return failed

    def tap(self, seen):
        folder = os.path.join(os.environ["INQUD_STAGE"], "tmp", "tap")
        for name in seen.get("tap", []):
            build(MAKE + ["install"])
            # a test that fails leaves its server's folder, in which the next run could not begin
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder + "/tmp_check/log", exist_ok=True)
            status, output = run("tap", ["perl", "-I", ".", f"test/t/{name}.pl"],
                                 {"TESTDIR": folder, "TESTDATADIR": folder + "/tmp_check", "TESTLOGDIR": folder + "/tmp_check/log",
                                  "top_builddir": folder, "PGPORT": "65432"})
            if status != 0:
                self.output = output
                return [f"tap {name}"]
        return []


def all_seen(mutants):
    """All tests that any of the slips names."""
    together = {}
    for mutant in mutants:
        for part, names in mutant.seen.items():
            together.setdefault(part, set()).update(names)
    return {part: sorted(names) for part, names in together.items()}


def judge(mutant, path, sources, tests):
    """Make one slip and take it back; returns the tests that noticed it."""
    write(path, sources[path].replace(*mutant.texts()))
    try:
        return tests.failures(mutant.seen)
    finally:
        write(path, sources[path])


def choose(wanted):
    """The slips of these names, or all."""
    mutants = read_lists()
    unknown = set(wanted) - {mutant.name for mutant in mutants}
    if unknown:
        raise SystemExit("There is no mutant " + ", ".join(sorted(unknown)) + ".")
    return [mutant for mutant in mutants if not wanted or mutant.name in wanted]


def find_places(mutants, sources):
    """The slips that can be made, each with its file; says at once which cannot."""
    places = []
    for mutant in mutants:
        try:
            places.append((mutant, locate(mutant, sources)))
        except Unusable as trouble:
            print(f"{mutant.name} ({mutant.kind}): ERROR: {trouble.args[0]}", flush=True)
    return places


def main(scripts, wanted):
    mutants = choose(wanted)
    sources = read_sources()
    places = find_places(mutants, sources)
    tests = Tests(scripts)
    passed = 0
    print("Running the tests without a slip ...", flush=True)
    already = tests.failures(all_seen(mutants))
    if already:
        raise SystemExit(tests.output + "These fail already: " + ", ".join(already) + ".")
    for mutant, path in places:
        began = time.monotonic()
        try:
            noticed = judge(mutant, path, sources, tests)
            said = "noticed by " + ", ".join(noticed) if noticed else "NOT NOTICED"
        except Unusable as trouble:
            noticed, said = [], f"ERROR: {trouble.args[0]}"
        passed += bool(noticed)
        print(f"{mutant.name} ({mutant.kind}): {said}, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{passed} passed, {len(mutants) - passed} failed")
    return 0 if passed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
