"""The benchmarks of ``python -m bench NAME``.

A module named here has ``add_options(parser)``, which adds its own options to an ``argparse`` parser, and
``measure(options)``, which returns a `bench.reports.Report`. It imports what it measures inside `measure`, so
that one bench can run where another one's peers are missing.
"""

from __future__ import annotations

BENCHES = {
    "score": "bench.score",
    "explain": "bench.explain",
    "features": "bench.features",
    "large": "bench.large",
    "train": "bench.train",
    "nightly": "bench.nightly",
    "pipeline": "bench.pipeline",
    "rescore": "bench.rescore",
    "online": "bench.online",
}
