"""Where and when a benchmark ran."""

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["commit", "describe", "now"]


def describe(threads: int) -> dict[str, Any]:
    """CPU, cores, memory, system and the threads that solvers were given."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "threads": threads,
    }


def now() -> str:
    """Date and time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The git commit of this file's repository, with "+changes" if `src` has any."""
    root = Path(__file__).parents[2]
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+changes" if _git(root, "status", "--porcelain", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_name() -> str:
    """Model and, where the name is bare, its family and model numbers."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(_pair(line) for line in lines if ":" in line)
    numbers = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    wide = " AVX-512" if "avx512f" in facts.get("flags", "") else ""
    return f"{facts.get('model name', platform.machine())} ({numbers}{wide})"


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()
