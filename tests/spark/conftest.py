"""One Spark in this process and one Spark Connect server, for all tests here."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from propensity.data.engines import connect
from propensity.params import DataParams

ROOT = Path(__file__).parents[2]
# For data as small as these the time goes into compiling: neither Spark nor Java should do much of it.
QUICK = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
SPARK = DataParams.model_validate({"engine": "spark", "outcomes": {"won": ["won"]}})


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An engine on a Spark in this process."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName("tests")
        for key, value in QUICK.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield connect(SPARK, folder=tmp_path_factory.mktemp("local"))
    session.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Spark Connect server on a free port of loopback; its address."""
    port = free_port()
    conf = [f"--conf={k}={v}" for k, v in QUICK.items()]
    command = [
        str(Path(sys.executable).with_name("spark-submit")),
        *conf,
        f"--conf=spark.connect.grpc.binding.port={port}",
        "--conf=spark.connect.grpc.binding.address=127.0.0.1",
        "--class=org.apache.spark.sql.connect.service.SparkConnectServer",
        "spark-internal",
    ]
    import pyspark

    home = {"SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": sys.executable}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=os.environ | home, start_new_session=True
        )
    try:
        _await_port(port, process, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def remote(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An engine on that server."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SPARK_REMOTE", server)
    try:
        con = connect(SPARK, folder=tmp_path_factory.mktemp("remote"))
    finally:
        patch.undo()
    yield con
    con.session.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(re.sub(r"\n+", "\n", log.read_text())[-2000:])
        time.sleep(0.2)
