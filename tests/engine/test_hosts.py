"""Workers on hosts of their own: a network namespace and a dockerd each, with certificates; faults lose no result.

`pytest -m real tests/engine/test_hosts.py` takes a quarter of an hour, and root. PERF_MATRIX_TEST_HOSTS is the number
of hosts, 2 unless it is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.engine import images
from matrix.machines import certificates
from tests.engine.bench import FAKE
from tests.engine.fleet import Fleet, wait
from tests.engine.namespaces import NETWORK, Bridge, Host
from tests.engine.requirements import needs, needs_root
from tests.engine.test_limits import MAKE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from tests.engine.bench import Bench

pytestmark = [pytest.mark.engine, pytest.mark.real]

HOSTS = int(os.environ.get("PERF_MATRIX_TEST_HOSTS", "2"))
HUNG_S = 60
"""The time after which the scheduler gives up a worker that says nothing; five minutes unless it is told otherwise."""

CELLS = tuple(f"{build}@{tree}" for tree in ("t1", "t2") for build in ("fake", "fake-out"))
ADDRESS = f"tls://{NETWORK}.1:8796"


class Hosts:
    """A scheduler on this machine, and hosts with a worker each."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.certificates = folder / "certificates"
        certificates.make(self.certificates)
        self.fleet = Fleet(folder / "fleet")
        self.bridge = Bridge()
        self.all: list[Host] = []
        for number in range(1, HOSTS + 1):
            host = Host(number, folder)
            self.all.append(host)
            host.start_engine()
            host.load(archive)
            host.mount_small(self.fleet.state(host.name))

    @property
    def options(self) -> tuple[str, ...]:
        return ("--certificates", str(self.certificates))

    def start_scheduler(self) -> None:
        names = {"ca-file": "ca", "cert": "cert", "key": "key"}
        words = [
            word for option, name in names.items() for word in (f"--tls-{option}", f"{self.certificates}/{name}.pem")
        ]
        self.fleet.start_scheduler(ADDRESS, words, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL=f"{HUNG_S}s")

    def start_worker(self, host: Host) -> None:
        self.fleet.python = host.words
        self.fleet.start_worker(host.name, *self.options, "--engine", host.socket)

    def left(self) -> list[str]:
        """Return all that runs have left on the hosts."""
        return [name for host in self.all for name in (*host.left(), *map(str, self.fleet.runs(host.name)))]

    def remove(self) -> None:
        self.fleet.end()
        for host in self.all:
            host.remove()
        self.bridge.remove()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Hosts]:
    needs_root()
    needs(engine, "docker")
    folder = tmp_path_factory.mktemp("hosts")
    image = load.load([FAKE]).images["debian-trixie-min"]
    made_of = [images.prepare(image, engine, print).tag, images.base(image.base, engine, print)]
    archive = folder / "images.tar"
    docker = ["docker", "--host", engine.describe()["url"]]
    subprocess.run([*docker, "save", "--output", str(archive), *made_of], check=True)
    made = Hosts(folder, archive)
    try:
        made.start_scheduler()
        for host in made.all:
            made.start_worker(host)
        yield made
    finally:
        made.remove()


def kill_worker(hosts: Hosts, host: Host) -> None:
    hosts.fleet.kill(hosts.fleet.workers[host.name])


def kill_engine(_hosts: Hosts, host: Host) -> None:
    assert host.engine is not None
    host.engine.kill()
    host.engine.wait()


def restart_scheduler(hosts: Hosts, _host: Host) -> None:
    assert hosts.fleet.scheduler is not None
    hosts.fleet.kill(hosts.fleet.scheduler)
    time.sleep(3)
    hosts.start_scheduler()


def restart_engine(_hosts: Hosts, host: Host) -> None:
    host.start_engine()


def signal_worker(number: signal.Signals) -> Callable[[Hosts, Host], None]:
    return lambda hosts, host: hosts.fleet.workers[host.name].send_signal(number)


def nothing(_hosts: Hosts, _host: Host) -> None:
    """Let all be as it is."""


FAULTS: dict[str, tuple[Callable[[Hosts, Host], None], Callable[[Hosts, Host], None]]] = {
    "none": (nothing, nothing),
    "killed worker": (kill_worker, lambda hosts, host: hosts.start_worker(host)),
    "restarted scheduler": (restart_scheduler, nothing),
    "killed engine": (kill_engine, restart_engine),
    "cut network": (lambda _, host: host.cut(), lambda _, host: host.mend()),
    "slow network": (lambda _, host: host.slow(), lambda _, host: host.speed_up()),
    "hung worker": (signal_worker(signal.SIGSTOP), signal_worker(signal.SIGCONT)),
    "full disk": (lambda _, host: host.fill(), lambda _, host: host.empty()),
}


def make_trees(bench: Bench) -> None:
    """Make two trees, of which the cells of one fail."""
    bench.tree("t1")
    bench.tree("t2", (MAKE, "rm -f $(PROGRAM) $(DUMP)", "rm -f $(PROGRAM)"))


def found(bench: Bench) -> dict[str, tuple[str, dict[str, set[str]]]]:
    """Return each cell's verdict and the findings of its checks."""
    return {cell: (str(bench.result(cell).verdict), bench.keys(cell)) for cell in CELLS}


@pytest.fixture(scope="module")
def on_one_machine(benches: Callable[[str], Bench], engine: Engine) -> dict[str, tuple[str, dict[str, set[str]]]]:
    assert engine
    bench = benches("one-machine")
    make_trees(bench)
    assert bench.run(*CELLS).status == 1
    return found(bench)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_result_is_lost_and_nothing_is_left(
    hosts: Hosts, bench: Bench, on_one_machine: dict[str, tuple[str, dict[str, set[str]]]], fault: str
) -> None:
    begin, mend = FAULTS[fault]
    make_trees(bench)
    words = [*bench.run_words(*CELLS), "--scheduler", hosts.fleet.address, *hosts.options]
    with bench.popen(*words) as process:
        bench.wait(lambda: hosts.fleet.is_at_work(hosts.all[0].name), process)
        time.sleep(2)
        begin(hosts, hosts.all[0])
        try:
            out, err = process.communicate(timeout=1500)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
    mend(hosts, hosts.all[0])
    assert process.returncode == 1, (out, err)
    assert found(bench) == on_one_machine, err
    wait(lambda: not hosts.left(), 120)
