"""What the doctor of the tests tries out. Each runs in a process of its own, which imports little."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time

from sen_bench.checks.machine import AbsentError
from sen_bench.errors import SenBenchError


def well() -> str:
    sys.stdout.write("a library that prints\n")
    return "fine"


def dies() -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return "never"


def hangs() -> str:
    time.sleep(60)
    return "never"


def raises() -> str:
    return str(importlib.import_module("sen_bench_no_such_module"))


def complains() -> str:
    raise SenBenchError("it is broken; mend it")


def absent() -> str:
    raise AbsentError("there is none; buy one")
