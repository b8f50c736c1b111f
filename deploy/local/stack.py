#!/usr/bin/env python3
"""The native development stack, as a command (`stack.py --help`) and for Python:

    from stack import Stack

    with Stack(state=folder, bin="build/dev/bin", settings={"LW_SHARDS": "4"}) as stack:
        stack.kill("recognizer")
        stack.start("recognizer")
"""

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import demo
import layout
import parts
from layout import ports_from
from processes import StackError
from runner import ROOT, Stack

__all__ = ["Stack", "StackError", "ports_from"]

DESCRIPTION = """\
The native development stack: Redis, Kafka, versitygw and Labelwire's services as plain processes, all on 127.0.0.1.
"""

EPILOG = f"""\
Ports are moved by {", ".join(dict.fromkeys(port.variable for port in layout.PORTS.values()))}
(the first of several), or all at once by PORT_SHIFT=N, which adds N to each.
"""


def command_fetch(_) -> None:
    parts.fetch()
    print(f"versitygw and Kafka are in {parts.CACHE}")


def command_up(args) -> None:
    stack_for(args).up(fresh=args.fresh)


def stack_for(args) -> Stack:
    """The stack that runs in the folder, as it was started, else the one that the options describe."""
    known = Stack.known(args.state)
    if known and known.alive() and not args.fresh:
        return known
    without = layout.SERVICES if args.parts_only else args.without
    return Stack(args.state, args.bin, settings=dict(args.settings), without=without, twice=args.twice)


def stack_known(args) -> Stack:
    """The stack that was started in the folder."""
    stack = Stack.known(args.state)
    if not stack:
        raise StackError(f"nothing is up in {args.state}")
    return stack


def command_down(args) -> None:
    Stack(args.state).down()


def command_status(args) -> int:
    """One line for each process; 0 if all are ready."""
    stack = stack_known(args)
    healthy = True
    print(f"{'NAME':<22} {'STATE':<10} {'PID':>7} {'UP':>8} {'MEMORY':>8}  WHERE")
    for name, process in stack.processes.items():
        where = stack.urls["s3" if name == "versitygw" else name]
        if name not in stack.names:
            if name in stack.without:
                print(f"{name:<22} left out")
        elif not process.pid:
            healthy = False
            print(f"{name:<22} {'dead' if process.started else 'stopped':<10} {'':>25}  log: {process.log}")
        else:
            ready = stack.ready(name)
            healthy &= ready
            print(f"{name:<22} {'ready' if ready else 'not ready':<10} {process.pid:>7} {duration(process.age()):>8} "
                  f"{process.memory() / 1e6:>5.0f} MB  {where}")
    print(f"\ngateway: {stack.urls['gateway']}/")
    return 0 if healthy else 1


def duration(seconds: float) -> str:
    """A rough duration: 45 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def command_logs(args) -> None:
    stack = Stack(args.state)
    logs = [stack.log_path(name) for name in ([args.service] if args.service else stack.processes)]
    logs = [log for log in logs if log.exists()]
    if not logs:
        raise StackError(f"no logs in {args.state}")
    os.execvp("tail", ["tail", "-n", "40", *(["-F"] if args.follow else []), *map(str, logs)])


def command_env(args) -> None:
    """Lines for the shell: what the labelwire tool takes, or what one service was given."""
    for name, value in stack_known(args).variables(args.service).items():
        print(f"export {name}={shlex.quote(value)}")


def command_demo(args) -> None:
    begun = time.monotonic()
    stack = stack_for(args)
    stack.up(fresh=args.fresh)
    demo.run(stack)
    print(f"\nDone in {time.monotonic() - begun:.1f} s, start of the stack included.")


def setting(text: str) -> tuple[str, str]:
    """NAME=VALUE or service:NAME=VALUE, taken apart."""
    name, equals, value = text.partition("=")
    service, colon, _ = name.rpartition(":")
    if not name or not equals or (colon and service not in layout.INSTANCES):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE or SERVICE:NAME=VALUE")
    return name, value


def parse() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--state", metavar="DIR", type=Path, default=ROOT / "build/stack",
                        help="everything of a run: data, logs, pids, certificates (default: build/stack)")
    start = argparse.ArgumentParser(add_help=False, parents=[common])
    start.add_argument("--bin", metavar="DIR", type=Path, default=ROOT / "build/dev/bin",
                       help="the folder with the programs (default: build/dev/bin)")
    start.add_argument("--set", metavar="[SERVICE:]NAME=VALUE", dest="settings", type=setting, action="append",
                       default=[], help="one more environment variable, for all services that take it or for one")
    start.add_argument("--fresh", action="store_true", help="wipe the data first")
    start.add_argument("--parts-only", action="store_true", help="only Redis, Kafka, versitygw, topics and bucket")
    start.add_argument("--without", metavar="SERVICE", choices=layout.SERVICES, action="append", default=[],
                       help="leave a service out, for example to run it in a debugger (see: stack.py env SERVICE)")
    start.add_argument("--twice", metavar="SERVICE", choices=layout.SCALED, action="append", default=[],
                       help="run a second instance of a service")

    parser = argparse.ArgumentParser(description=DESCRIPTION, epilog=EPILOG,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function, summary: str, parent=common) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.",
                                  epilog=EPILOG if parent is start else None, parents=[parent])
        sub.set_defaults(run=function)
        return sub

    command("fetch", command_fetch, "build versitygw and fetch Kafka, unless the cache has them")
    command("up", command_up, "start what does not run, and wait until it is ready", start)
    command("down", command_down, "stop everything; the data stays")
    command("status", command_status, "show what runs; 0 if all is ready")
    logs = command("logs", command_logs, "show the ends of the logs")
    logs.add_argument("service", nargs="?", choices=layout.PARTS + layout.INSTANCES, metavar="SERVICE")
    logs.add_argument("-f", "--follow", action="store_true", help="go on showing what is added")
    env = command("env", command_env, "print export lines for the labelwire tool, or those that a service was given")
    env.add_argument("service", nargs="?", choices=(*layout.ENVIRONMENT, *layout.SECONDS), metavar="SERVICE",
                     default="labelwire")
    command("demo", command_demo, "label a picture end to end and show the callback; leaves the stack up", start)
    return parser.parse_args()


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return args.run(args) or 0
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was being started has been stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
