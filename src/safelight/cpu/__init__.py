"""CPU-heavy functions in caged child processes: the pool, its limits, and progress reports."""

from safelight.cpu.call import report
from safelight.cpu.limits import Limits, OutOfResources
from safelight.cpu.pool import CpuPool, Report

__all__ = ["CpuPool", "Limits", "OutOfResources", "Report", "report"]
