#!/usr/bin/env python3
"""Runs the tests, level by level, and counts them.

    tests/run.py                 everything that CI runs
    tests/run.py lint unit       some levels only
    tests/run.py --list          the levels

Every level says what it does while it does it; what fails shows its output.  The last line is
"N passed, N failed"; the exit code is 0 when nothing failed.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = os.cpu_count() or 2
VENV = ROOT / "build/venv"
FLAVOURS = ("dev", "asan")
os.environ.setdefault("ASAN_OPTIONS", "detect_stack_use_after_return=1")  # Debian 13's default


class Tally:
    """What passed and what failed, over all levels."""

    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name, passed, failed, seconds, output):
        self.passed += passed
        self.failed += failed
        mark = "ok  " if failed == 0 else "FAIL"
        print(f"  {mark} {name}: {passed} passed, {failed} failed in {seconds:.1f} s", flush=True)
        if failed:
            print("\n".join("       " + line for line in output.splitlines()[-120:]), flush=True)


def run(command, timeout=300, **environment):
    """Runs a command to its end: exit code, output, seconds."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=ROOT, timeout=timeout, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **environment})
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        text = late.stdout or b""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        code, output = -1, text + f"\nnot done after {timeout} s\n"
    return code, output, time.monotonic() - started


def counted(code, output):
    """Passed and failed as cmocka or pytest say; a program that says nothing is one test."""
    cmocka_ok = re.findall(r"\[  PASSED  \] (\d+) test", output)
    cmocka_bad = re.findall(r"\[  FAILED  \] (\d+) test", output)
    pytest_line = re.findall(r"^=* ?((?:\d+ \w+,? ?)+)in [\d.]+s", output, re.M)
    if cmocka_ok:
        passed, failed = sum(map(int, cmocka_ok)), sum(map(int, cmocka_bad))
    elif pytest_line:
        found = {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", pytest_line[-1])}
        passed = found.get("passed", 0)
        failed = sum(n for word, n in found.items() if word not in ("passed", "warnings", "warning"))
    else:
        return (1, 0) if code == 0 else (0, 1)
    return passed, max(failed, 1) if code != 0 else failed


def each(tally, commands, timeout=120, jobs=JOBS):
    """Runs named commands side by side."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run, command, timeout, **environment): name
                   for name, command, environment in commands}
        for future in concurrent.futures.as_completed(futures):
            code, output, seconds = future.result()
            tally.add(futures[future], *counted(code, output), seconds, output)


def build(tally, flavour):
    code, output, seconds = run(["make", f"-j{JOBS}", f"FLAVOUR={flavour}", "tests"], 1500)
    tally.add(f"build {flavour}, warnings are errors", *counted(code, output), seconds, output)


def sources(*patterns):
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))


def level_lint(tally):
    """source text, two compilers, clang-tidy, cppcheck, shellcheck, stale manuals"""
    build(tally, "dev")
    build(tally, "clang")
    c_files = sources("common/*/*.c", "services/*/*.c")
    formatted = sources("common/*/*.[ch]", "services/*/*.[ch]", "tests/**/*.[ch]")
    shell = sources("tests/lint/*.sh", "deploy/**/*.sh", ".ci/run")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Icommon", "-Iservices"]
    half = len(c_files) // 2
    each(tally, [
        ("layers", ["tests/lint/layers.sh"], {}),
        ("banned calls", ["tests/lint/banned.sh"], {}),
        ("style", ["tests/lint/style.sh"], {}),
        ("format", ["clang-format-19", "--dry-run", "-Werror", *formatted], {}),
        ("shellcheck", ["shellcheck", "-S", "info", *shell], {}),
        ("manuals", ["tests/lint/docs.sh", "check"], {}),
        ("runbook", ["tests/lint/runbook.sh"], {}),
        ("cppcheck", ["cppcheck", "-q", f"-j{JOBS}", "--std=c11", "--error-exitcode=1",
                      "--enable=warning,performance,portability", "--inline-suppr",
                      "--suppressions-list=tests/lint/cppcheck.txt", "-Icommon", "-Iservices",
                      "common", "services"], {}),
        ("clang-tidy 1", ["clang-tidy-19", "--quiet", *c_files[:half], "--", *flags], {}),
        ("clang-tidy 2", ["clang-tidy-19", "--quiet", *c_files[half:], "--", *flags], {}),
    ], timeout=900)


def level_unit(tally):
    """one program for each module, plain and under the sanitizers"""
    for flavour in FLAVOURS:
        build(tally, flavour)
        programs = sources(f"build/{flavour}/unit/*/*_test")
        each(tally, [(f"{flavour} {program.split('/', 3)[3]}", [ROOT / program], {})
                     for program in programs])


def level_integration(tally):
    """against a real redis-server; foreign implementations of our formats"""
    for flavour in FLAVOURS:
        build(tally, flavour)
        programs = sources(f"build/{flavour}/integration/*_test")
        each(tally, [(f"{flavour} {program.split('/')[-1]}", [ROOT / program], {})
                     for program in programs])
        each(tally, [pytest(f"{flavour} programs against foreign ones", "tests/integration", flavour)], 900)


def level_e2e(tally):
    """the whole system on real parts, services under the sanitizers"""
    build(tally, "asan")
    code, output, seconds = run(["python3", "deploy/local/stack.py", "fetch"], 1500)
    tally.add("fetch Kafka and versitygw", *counted(code, output), seconds, output)
    # Mostly they wait for what takes its time: more of them at once than there are processors.
    each(tally, [pytest(f"end to end {Path(file).stem}", file, "asan", ports=15000 + 800 * n)
                 for n, file in enumerate(sources("tests/e2e/test_*.py"))], 900, JOBS + 1)


def level_chaos(tally):
    """every failpoint: services die there under load, and nothing is lost; the checker itself"""
    build(tally, "asan")
    each(tally, [pytest("the checker sees violations", "tests/chaos", "asan")])
    code, output, seconds = run(["python3", "tests/chaos/chaos.py", "failpoints",
                                 "--bin", "build/asan/bin"], 600)
    tally.add("failpoints", *counted(code, output), seconds, output)


def pytest(name, path, flavour, ports=15000):
    """Name, command and environment; each stack of the tests is on ports of the 800 from there on."""
    folder = ROOT / f"build/pytest/{Path(path).stem}"
    folder.parent.mkdir(exist_ok=True)
    return (name, [venv_python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                   "--durations=3", f"--basetemp={folder}", path],
            {"LABELWIRE_BIN": str(ROOT / f"build/{flavour}/bin"), "LABELWIRE_PORTS": str(ports),
             "BUILD_DIR": str(ROOT / f"build/{flavour}")})


def venv_python():
    """The virtual environment of tests/requirements.txt, made when missing or stale."""
    wanted = (ROOT / "tests/requirements.txt").read_text()
    stamp = VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("  installing tests/requirements.txt", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin/pip", "install", "-q", "--disable-pip-version-check",
                        "--require-hashes", "-r", ROOT / "tests/requirements.txt"], check=True)
        stamp.write_text(wanted)
    return VENV / "bin/python"


LEVELS = {"lint": level_lint, "unit": level_unit, "integration": level_integration,
          "e2e": level_e2e, "chaos": level_chaos}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("levels", nargs="*", help=", ".join(LEVELS))
    parser.add_argument("--list", action="store_true", help="print the levels and leave")
    args = parser.parse_args()
    if args.list:
        for name, level in LEVELS.items():
            print(f"{name}: {level.__doc__}")
        return 0
    unknown = set(args.levels) - set(LEVELS)
    if unknown:
        parser.error(f"unknown level {', '.join(unknown)}; there are {', '.join(LEVELS)}")
    tally = Tally()
    for name in args.levels or LEVELS:
        print(f"{name}: {LEVELS[name].__doc__}", flush=True)
        LEVELS[name](tally)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
