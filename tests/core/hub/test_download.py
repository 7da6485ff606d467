"""Downloads against a server on the loopback address that fails, truncates, stalls and lies."""

from __future__ import annotations

import hashlib
import http.server
import os
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

from flambeau.base import config, hooks
from flambeau.base.errors import ArgumentError, DownloadError, OfflineError
from flambeau.hub import cache, download, fetch

BODY = bytes(range(256)) * 4096  # 1 MiB
SHA = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves BODY; `plan` says, request by request, how to misbehave."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.requests, self.body, self.accept_ranges = [], [], BODY, True

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/weights/net.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(self.headers.get("Range"))
        how = server.plan.pop(0) if server.plan else "well"
        if isinstance(how, int):
            self.send_response(how)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        start = int(self.headers["Range"][6:-1]) if self.headers.get("Range") and server.accept_ranges else 0
        if start and start >= len(server.body):
            self.send_response(416)
            self.end_headers()
            return
        part = server.body[start:]
        self.send_response(206 if start else 200)
        if start:
            shift = 1 if how == "shifted" else 0
            self.send_header("Content-Range", f"bytes {start + shift}-{len(server.body) - 1}/{len(server.body)}")
        if how != "no length":
            self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if how == "lie":
            part = b"\0" * len(part)
        self.wfile.write(part[: len(part) // 2] if how in ("truncate", "stall") else part)
        if how == "stall":
            server.stalled.wait(10)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    server.stalled = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stalled.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FLAMBEAU_OFFLINE", raising=False)
    return tmp_path / "cache"


def get(server, sha=SHA, **options):
    return fetch(server.url, sha, pause=0.001, **options)


def only_locks_remain(home):
    return all(path.suffix == ".lock" for path in home.rglob("*") if path.is_file())


def test_a_file_is_downloaded_once(server, home):
    seen = []
    path = get(server, progress=lambda done, total: seen.append((done, total)))
    assert path == home / "files" / SHA / "net.bin"
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert get(server) == path
    assert server.requests == [None]
    assert not path.with_name("net.bin.part").exists()


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_passing_failures_are_retried(server, status):
    server.plan = [status, status]
    assert get(server).read_bytes() == BODY
    assert len(server.requests) == 3


def test_lasting_failures_end_after_a_few_attempts(server, home):
    server.plan = [503] * 10
    with pytest.raises(DownloadError) as caught:
        get(server)
    assert str(caught.value) == (
        f"fetch {server.url}: expected the whole file, got HTTP 503 Service Unavailable (4 attempts). Try: again later."
    )
    assert len(server.requests) == download.ATTEMPTS
    assert only_locks_remain(home)


def test_a_missing_file_is_not_asked_for_twice(server):
    server.plan = [404]
    with pytest.raises(DownloadError, match="got HTTP 404 Not Found. Try: check the address"):
        get(server)
    assert len(server.requests) == 1


def test_a_truncated_download_goes_on_where_it_stopped(server):
    server.plan = ["truncate", "truncate"]
    assert get(server).read_bytes() == BODY
    assert server.requests == [None, f"bytes={len(BODY) // 2}-", f"bytes={len(BODY) * 3 // 4}-"]


def test_a_server_without_ranges_is_asked_for_everything_again(server):
    server.accept_ranges = False
    server.plan = ["truncate"]
    assert get(server).read_bytes() == BODY


def test_a_part_at_the_wrong_place_is_thrown_away(server):
    server.plan = ["truncate", "shifted"]
    assert get(server).read_bytes() == BODY
    assert server.requests[-1] is None


def test_a_stalling_server_is_given_up_and_resumed(server, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    server.plan = ["stall"]
    assert get(server).read_bytes() == BODY


def test_a_body_without_a_length(server):
    server.plan = ["no length"]
    assert get(server).read_bytes() == BODY


def test_an_md5_where_a_source_states_nothing_else(server):
    md5 = "md5-" + hashlib.md5(BODY).hexdigest()
    path = get(server, md5)
    assert path.read_bytes() == BODY and path.parent.name == md5 and get(server, md5) == path and len(server.requests) == 1
    with pytest.raises(DownloadError, match="expected md5-0+, got md5-"):
        get(server, "md5-" + "0" * 32)


def test_another_content_is_an_error_and_never_kept(server, home):
    server.plan = ["lie"]
    with pytest.raises(DownloadError) as caught:
        get(server)
    zeros = hashlib.sha256(b"\0" * len(BODY)).hexdigest()
    assert str(caught.value) == (
        f"fetch {server.url}: expected sha256 {SHA}, got {zeros}. "
        "Try: the file at that address has changed or was tampered with; do not use it."
    )
    assert only_locks_remain(home)


@pytest.mark.parametrize("left", [b"rubbish", BODY + b"rubbish", BODY[: len(BODY) // 3]])
def test_a_part_left_by_an_earlier_process_is_used_or_replaced(server, left):
    part = cache.cached_path(server.url, SHA).with_name("net.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert get(server).read_bytes() == BODY


def test_a_complete_part_needs_no_body(server):
    part = cache.cached_path(server.url, SHA).with_name("net.bin.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    assert get(server).read_bytes() == BODY
    assert server.requests == [f"bytes={len(BODY)}-"]


def test_more_than_the_known_size_is_refused(server, home):
    with pytest.raises(DownloadError, match=f"expected 1000 bytes, got {len(BODY)} bytes offered"):
        get(server, size=1000)
    server.plan = ["no length"]
    with pytest.raises(DownloadError, match=r"expected 1000 bytes, got more\."):
        get(server, size=1000)


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirection_to_a_local_file_is_refused(server, status):
    server.plan = [status]
    with pytest.raises(DownloadError):
        get(server)


def test_damage_in_the_cache_is_found_and_mended(server):
    path = get(server)
    path.write_bytes(BODY[:-1] + b"!")
    assert get(server).read_bytes() == BODY
    assert len(server.requests) == 2


def test_offline_makes_no_network_call(server, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("network call")

    path = get(server)
    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    with config.override(offline=True):
        assert get(server) == path
        path.write_bytes(b"damaged")
        with pytest.raises(OfflineError, match="got a damaged file in the cache"):
            get(server)
        path.unlink()
        with pytest.raises(OfflineError) as caught:
            get(server)
    assert str(caught.value) == (
        f"fetch {server.url}: expected a cached copy, because FLAMBEAU_OFFLINE is set, got no such file in the cache. "
        f"Try: unset FLAMBEAU_OFFLINE, or put the file at {path}."
    )


def test_file_addresses_work_offline_too(tmp_path):
    source = tmp_path / "a file.bin"
    source.write_bytes(BODY)
    with config.override(offline=True):
        assert fetch(source.as_uri(), SHA).read_bytes() == BODY
    with pytest.raises(DownloadError, match="expected sha256"):
        fetch(source.as_uri(), "0" * 64)
    with pytest.raises(DownloadError, match="expected a readable file at"):
        fetch((tmp_path / "absent").as_uri(), "1" * 64)
    with pytest.raises(DownloadError, match="got one on 'server'"):
        fetch("file://server/share/x", "1" * 64)


@pytest.mark.parametrize("url", ["s3://bucket/net.bin", "ftp://host/x", "net.bin", "data:text/plain,hi"])
def test_other_schemes_are_refused_unless_a_plugin_fetches_them(url, monkeypatch):
    class Host:
        def load(self):
            pass

        def call(self, hook, /, *, url, path, sha256):
            if not url.startswith("s3:"):
                return None
            path.write_bytes(BODY)
            return True

    before = hooks.install(None)
    try:
        with pytest.raises(DownloadError, match="expected http, https or file"):
            fetch(url, SHA)
        hooks.install(Host())
        if url.startswith("s3:"):
            assert fetch(url, SHA).read_bytes() == BODY
            with pytest.raises(DownloadError, match="expected sha256"):
                fetch(url, "2" * 64)
    finally:
        hooks.install(before)


@pytest.mark.parametrize("sha", ["", "abc", "g" * 64, "0" * 63])
def test_nothing_is_fetched_without_a_checksum(server, sha):
    with pytest.raises(ArgumentError, match="a sha256 of 64 hexadecimal digits"):
        get(server, sha)
    assert server.requests == []


@pytest.mark.parametrize("path", ["/a/..", "/a/%2e%2e", "/a/..%5c..%5cx", "/", "/a/.bashrc", "/a/b;c d"])
def test_no_address_leads_out_of_the_cache(path, home):
    inside = cache.cached_path("http://127.0.0.1" + path, SHA)
    assert inside.resolve().parent == (home / "files" / SHA).resolve()
    assert not inside.name.startswith(".")


def test_several_processes_download_once(server, home):
    code = f"""
        from flambeau.hub import fetch
        print(fetch({server.url!r}, {SHA!r}, pause=0.01))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    children = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    paths = {child.communicate(timeout=60)[0] for child in children}
    assert [child.returncode for child in children] == [0] * 4
    assert len(paths) == 1
    assert len(server.requests) == 1


def test_a_file_in_the_way_of_the_cache_says_what_to_do(server, home):
    home.write_text("not a directory")
    with pytest.raises(DownloadError, match="point FLAMBEAU_HOME to another disk"):
        get(server)
