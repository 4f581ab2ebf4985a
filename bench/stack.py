"""The processes of a run: started on loopback, pinned to a core, read from the kernel's books, always ended.

Needs Linux: /proc, CPU affinity, and a signal when the parent dies, so that even a killed run leaves nothing behind.
"""

import asyncio
import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.streams import ANTHROPIC, CHAT, GEMINI, KEY, RESPONSES

ROOT = Path(__file__).resolve().parent.parent

PROVIDERS = {CHAT: "lab", RESPONSES: "labresp", ANTHROPIC: "labant", GEMINI: "labgem"}
"""The provider of the gateway's config that speaks each protocol."""

_CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, LOAD_CORE = _CORES[0], _CORES[-1]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CPUCLOCK_SCHED = 2  # linux/posix-timers.h: nanoseconds that the threads of a process ran

_libc = ctypes.CDLL(None)


class StackError(Exception):
    """Something that the run needs is missing or does not start."""


class Server:
    """A process that answers on a local port, and what the kernel knows about it and its children."""

    def __init__(self, name: str, port: int, pid: int) -> None:
        self.name = name
        self.port = port
        self.pid = pid
        self.idle = 0.0

    def cpu(self) -> float:
        """Return the CPU seconds, user and system, that the process and its children took so far.

        It is what /proc/PID/stat counts in ticks of 10 ms, read in nanoseconds as clock_getcpuclockid(3) does.
        """
        return sum(time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED) for pid in _family(self.pid))

    def rss(self) -> int:
        """Return the resident bytes of the process and its children."""
        page = resource.getpagesize()
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in _family(self.pid))

    async def measure_idle(self, seconds: float) -> None:
        """Find out how much CPU it takes when nobody asks anything; `idle` is in seconds a second."""
        before = self.cpu()
        await asyncio.sleep(seconds)
        self.idle = (self.cpu() - before) / seconds


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def free_port() -> int:
    """Return a local port that nobody listens on, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def allow_open_files() -> None:
    """Raise the limit of open files for this process and its children: 500 streams are 1000 sockets of a proxy."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def running(name: str, argv: list[str], port: int, core: int, folder: Path) -> Iterator[Server]:
    """Run a command on one core until the block ends; enter when it accepts connections.

    Raises:
        StackError: it ended, or did not listen within 20 s. The message has the end of its output.
    """
    log = folder / f"{name}-{port}.log"
    home = {"PENSTOCK_DATA_DIR": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=os.environ | home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _settle(core),  # noqa: PLW1509 - there are no threads
        )
    try:
        _await_listener(process, port, log)
        yield Server(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _settle(core: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.sched_setaffinity(0, {core})


def _await_listener(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    state = "does not listen" if process.poll() is None else f"ended with status {process.returncode}"
    raise StackError(f"`{' '.join(map(str, process.args))}` {state}:\n{log.read_text(errors='replace')[-2000:]}")


# ---- the three servers -----------------------------------------------------------------------------------------------


def upstream(port: int) -> list[str]:
    """Return the command of the scripted upstream."""
    return [sys.executable, "-m", "bench.upstream", "--port", str(port)]


NGINX_MISSING = "nginx is not installed: no ratios. On Debian: apt-get install nginx-light"

_NGINX = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
error_log stderr crit;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 10000000;
    upstream lab {{
        server 127.0.0.1:{upstream_port};
        keepalive 1024;
        keepalive_requests 10000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://lab;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def nginx(port: int, upstream_port: int, folder: Path) -> list[str] | None:
    """Write a configuration and return the command, or None where nginx is not installed."""
    binary = _nginx_binary()
    if binary is None:
        return None
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, user=user, port=port, upstream_port=upstream_port))
    return [binary, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]


def nginx_version() -> str:
    """Return the version of nginx, or nothing where it is not installed."""
    binary = _nginx_binary()
    if binary is None:
        return ""
    return subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr.strip().rpartition("/")[2]


def _nginx_binary() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def gateway_config(upstream_port: int) -> str:
    """Return the configuration that a gateway needs to be measured."""
    address = f"http://127.0.0.1:{upstream_port}"
    versions = {CHAT: "/v1", RESPONSES: "/v1"}
    rows = "".join(
        f'[providers.{name}]\nprotocol = "{protocol}"\nbase_url = "{address}{versions.get(protocol, "")}"\n'
        f'api_key = "none"\n\n'
        for protocol, name in PROVIDERS.items()
    )
    return f'[[keys]]\nname = "bench"\nkey = "{KEY}"\n\n{rows}'


def gateway(port: int, upstream_port: int, folder: Path, module: str = "penstock") -> list[str]:
    """Write a configuration and return the command. `module` is what is run instead of the gateway as it is."""
    configuration = folder / "penstock.toml"
    configuration.write_text(gateway_config(upstream_port))
    return [sys.executable, "-m", module, "serve", "--config", str(configuration), "--port", str(port)]


def find_listener(port: int) -> int:
    """Return the id of the oldest process that listens on a local port.

    Raises:
        StackError: none is visible to us.
    """
    lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    rows = [line.split() for line in lines]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    owners = [
        int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and _owns(folder, sockets)
    ]
    if not owners:
        raise StackError(f"No process of this machine that we may look at listens on port {port}.")
    return min(owners)


def _owns(folder: Path, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(entry) in sockets for entry in (folder / "fd").iterdir())
    except OSError:
        return False
