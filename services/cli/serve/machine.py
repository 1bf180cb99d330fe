"""How much of this machine is ours: processors and memory, as limited by a container."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ENGINE_BYTES = 4 * 2**30
"""A process that holds the models of all stages, with what it works on."""
REST_BYTES = 2 * 2**30
"""Everything else: API, broker, decoding."""


@dataclass(frozen=True)
class Machine:
    cores: int
    memory: int
    """Bytes."""


def this_machine(cgroup: Path = Path("/sys/fs/cgroup")) -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, max(1, round(int(quota) / int(period))))
    limit = _read(cgroup / "memory.max")
    return Machine(cores, min(memory, int(limit)) if limit.isdigit() else memory)


def engine_processes(machine: Machine) -> int:
    """Processes with engines: two cores and their models' memory for each."""
    return max(1, min(machine.cores // 2, (machine.memory - REST_BYTES) // ENGINE_BYTES))


def media_processes(machine: Machine) -> int:
    """Processes that cut, join and encode."""
    return max(1, min(machine.cores // 4, 4))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
