"""The machine at hand, and the memory use of this process."""

import platform
import sys
from pathlib import Path


def peak_memory() -> float:
    """Peak memory of this process, MiB; 0 where the system does not report it (Windows)."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def resident_memory() -> float:
    """Resident memory of this process now, MiB; 0 where /proc does not report it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 2**10


def processor() -> str:
    """The name of this machine's CPU."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in (info.read_text().splitlines() if info.exists() else [])
             if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
