"""What a benchmark ran on: machine and versions."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory, system and Python; no name of the machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def find_versions(*packages: str) -> dict[str, str]:
    """Return the versions of what every bench uses and of `packages`; what is not installed is left out."""
    found = {}
    for name in ("propensity", "lightgbm", "numpy", "pandas", "pyarrow", *packages):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gb() -> int | None:
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    return round(int(path.read_text(encoding="ascii").split()[1]) / 1024 / 1024)
