"""The pages for browsers under /h5/: what is served, how, and what is not."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from django.test import Client

pytestmark = pytest.mark.usefixtures("tenant")
SCRIPT = "console.log('" + "x" * 5_000 + "')"


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    """Where a build would be; there is none yet."""
    settings.H5_DIR = str(tmp_path / "h5")
    return tmp_path / "h5"


@pytest.fixture
def built(folder: Path) -> Path:
    """A build of two files, with their compressed copies."""
    (folder / "assets").mkdir(parents=True)
    for name, text in {"index.html": "<!DOCTYPE html><title>充电</title>", "assets/app.js": SCRIPT}.items():
        (folder / name).write_text(text)
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "sources.sha256").write_text("secret")
    (folder.parent / "beside.txt").write_text("secret")
    return folder


@pytest.fixture
def client() -> Client:
    return Client(headers={"host": "alpha.test", "accept-language": "zh-hans"})


def test_until_it_is_built_the_page_says_so_and_looks_again(client: Client, folder: Path) -> None:
    answer = client.get("/h5/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "页面正在生成" in answer.content.decode()
    assert client.get("/h5/assets/app.js").status_code == 404


def test_the_entry_page_is_never_kept_and_assets_for_a_year(client: Client, built: Path) -> None:
    entry = client.get("/h5/")
    assert (entry.status_code, entry["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert entry.content.decode() == (built / "index.html").read_text()
    assert entry["Cache-Control"] == "no-cache"
    assert "img-src 'self' data: blob:; " in entry["Content-Security-Policy"]
    asset = client.get("/h5/assets/app.js")
    assert asset["Content-Type"] == "text/javascript; charset=utf-8"
    assert asset["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "Content-Encoding" not in asset


@pytest.mark.parametrize(
    ("vendor", "form"), [("s3", "https://files.example.com"), ("oss", "https://bucket.files.example.com")]
)
def test_pictures_and_uploads_may_use_the_object_storage(
    client: Client, built: Path, settings, vendor: str, form: str
) -> None:
    options = {
        "bucket_name": "bucket",
        "endpoint_url": "http://inside:9000",
        "public_endpoint": "https://files.example.com",
        "region_name": "us-east-1",
        "access_key": "key",
        "secret_key": "secret",
        "vendor": vendor,
        "addressing": "path",
        "signature": "s3v4",
    }
    stored = {"BACKEND": "apps.files.storage.ObjectStorage", "OPTIONS": options}
    settings.STORAGES = {**settings.STORAGES, "default": stored}
    policy = client.get("/h5/")["Content-Security-Policy"].split("; ")
    hosts = " ".join(sorted({form, "https://files.example.com"}))
    assert f"img-src 'self' data: blob: {hosts}" in policy
    assert f"connect-src 'self' ws: wss: {hosts}" in policy


def test_who_takes_gzip_gets_the_compressed_copy(client: Client, built: Path) -> None:
    answer = client.get("/h5/assets/app.js", headers={"accept-encoding": "gzip, br"})
    assert answer["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer["Vary"].split(", ")
    assert answer["Content-Type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(answer.content).decode() == SCRIPT


def test_the_address_without_a_slash_leads_to_the_one_with_it(client: Client, built: Path) -> None:
    answer = client.get("/h5")
    assert (answer.status_code, answer["Location"]) == (302, "/h5/")


@pytest.mark.parametrize(
    "path",
    ["../beside.txt", "..%2fbeside.txt", "%2fetc/passwd", "assets", "assets/", "sources.sha256", "index.html.gz",
     "a%00b"],
)  # fmt: skip
def test_nothing_else_is_served(client: Client, built: Path, path: str) -> None:
    assert client.get(f"/h5/{path}").status_code == 404


def test_only_reading(client: Client, built: Path) -> None:
    assert client.post("/h5/").status_code == 405


def test_the_platform_has_no_pages_for_drivers(built: Path) -> None:
    assert Client(headers={"host": "localhost"}).get("/h5/").status_code == 404
