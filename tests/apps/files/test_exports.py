"""Exports in the background: from the button above a list to the file, and all that may go wrong."""

from __future__ import annotations

import csv
import io
import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client, RequestFactory
from django_tenants.utils import schema_context
from openpyxl import load_workbook

from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.backoffice.sites import tenant_site
from apps.common.time import now
from apps.customers.models import Customer
from apps.files import exports, services
from apps.files.enums import ExportState
from apps.files.errors import TooManyExports
from apps.files.models import ExportJob, StoredFile
from tests import factories
from tests.apps.files.test_files import use_disk
from tests.staff import a_user, boss, signed_in

LIST = "/admin/customers/customer/"
ASK = f"{LIST}export-file/"
CENTRE = "/admin/files/exportjob/"
READER = "customers.view_customer"


@pytest.fixture(autouse=True)
def disk(settings: Any, tmp_path: Path) -> None:
    use_disk(settings, tmp_path)


def ask(client: Client, form: str = "csv", path: str = ASK, query: str = "") -> Any:
    return client.post(f"{path}?{query}", {"_form_submitted": "on", "format": form})


@pytest.fixture
def at_once(django_capture_on_commit_callbacks: Any) -> Any:
    """Ask, and have the worker do it."""

    def go(*args: Any, **options: Any) -> ExportJob:
        with django_capture_on_commit_callbacks(execute=True):
            answer = ask(*args, **options)
        assert answer.headers["hx-redirect"] == CENTRE, answer.content
        return ExportJob.objects.latest("id")

    return go


def download(client: Client, job: ExportJob) -> bytes:
    answer = client.get(f"/files/{job.file.number}/")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)


def rows_of(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_filtered_list_becomes_a_csv_file(tenant: Any, at_once: Any) -> None:
    for name in ("甲\u3000\x07", "乙", "=1+1"):
        factories.a_customer(nickname=name)
    Customer.objects.filter(nickname="乙").update(state="frozen")
    client = signed_in(a_user(READER))
    dialog = client.get(f"{ASK}?state__exact=active").content.decode()
    assert "export-file/?state__exact=active" in dialog
    job = at_once(client, query="state__exact=active&p=2&o=1")
    assert (job.state, job.done, job.total, job.query) == (ExportState.DONE, 2, 2, "state__exact=active&o=1")
    titles, *rows = rows_of(download(client, job))
    # The same cells as the file that the page gives away at once.
    direct = client.get(f"{LIST}export/?state__exact=active&o=1").content
    assert [titles, *rows] == rows_of(direct)
    assert {"甲\u3000\x07", "'=1+1"} <= {cell for row in rows for cell in row}
    assert job.file.name.startswith("车主-")
    assert job.file.expires_at - now() <= timedelta(days=exports.KEPT_DAYS)


def test_a_list_becomes_a_workbook(tenant: Any, at_once: Any) -> None:
    factories.a_customer(nickname="=HYPERLINK(1)")
    client = boss()
    job = at_once(client, "xlsx")
    (sheet,) = load_workbook(io.BytesIO(download(client, job))).worksheets
    texts = {cell.value: cell.data_type for row in sheet.iter_rows(min_row=2) for cell in row}
    assert texts["=HYPERLINK(1)"] == "s"
    assert sheet.max_row == 2


def test_every_list_with_an_export_can_be_written(tenant: Any, at_once: Any) -> None:
    order = factories.a_charging_order()
    factories.a_notice()
    factories.an_energy_difference(order)
    client = boss()
    for model, model_admin in tenant_site._registry.items():
        label = model._meta.label_lower.replace(".", "/")
        if not model_admin.export:
            assert client.get(f"/admin/{label}/export-file/").status_code == 403
            continue
        for form in ("xlsx", "csv"):
            job = at_once(client, form, f"/admin/{label}/export-file/")
            assert (job.state, job.error) == (ExportState.DONE, ""), label
        with services.open_content(job.file) as opened:
            titles = rows_of(opened.read())[0]
        assert titles == [str(title) for title, _source in model_admin.export]


def test_the_button_is_for_those_who_may_and_keeps_the_filter(tenant: Any) -> None:
    page = signed_in(a_user(READER)).get(f"{LIST}?q=abc").content.decode()
    assert f"{ASK}?q=abc" in page
    assert signed_in(a_user()).get(ASK).status_code == 403
    assert ask(signed_in(a_user())).status_code == 403
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("form", ["", "pdf", "../x"])
def test_an_unknown_format_is_refused_in_the_dialog(tenant: Any, form: str) -> None:
    assert ask(boss(), form).status_code == 200
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("query", ["id__gt=abc", "nickname__nothing=1", "secret__x=1", "o=999.-x"])
def test_a_wrong_filter_is_told_at_once(tenant: Any, query: str) -> None:
    client = boss()
    answer = ask(client, query=query)
    if ExportJob.objects.exists():  # Django leaves out what it does not know how to order by
        assert query.startswith("o=")
    else:
        assert answer.headers["hx-redirect"].startswith(LIST)
        assert "筛选" in client.get(LIST).content.decode()


def test_one_person_has_so_many_at_a_time(tenant: Any) -> None:
    client, other = boss(), boss()
    for _ in range(exports.MAX_OPEN):
        assert ask(client).headers["hx-redirect"] == CENTRE
    assert ask(client).headers["hx-redirect"].startswith(LIST)
    assert ExportJob.objects.count() == exports.MAX_OPEN
    assert ask(other).headers["hx-redirect"] == CENTRE


def test_rights_are_asked_for_again_when_it_is_written(tenant: Any) -> None:
    for lose in (
        lambda user: user.user_permissions.clear(),
        lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user: User.objects.filter(pk=user.pk).update(is_staff=False),
        lambda user: user.delete(),
    ):
        user = a_user(READER)
        ask(signed_in(user))
        job = ExportJob.objects.latest("id")
        lose(user)
        exports.run_export(job.pk)
        job.refresh_from_db()
        assert (job.state, job.file, job.error) == (ExportState.FAILED, None, "您已无权导出此列表。")
    assert not StoredFile.objects.exists()


def test_rights_are_asked_for_again_when_it_is_fetched(tenant: Any, at_once: Any) -> None:
    user = a_user(READER)
    client = signed_in(user)
    job = at_once(client)
    path = f"/files/{job.file.number}/"
    download(client, job)
    # Nobody else's, whatever they may.
    assert boss().get(path).status_code == 404
    user.user_permissions.remove(Permission.objects.get(codename="view_customer"))
    assert client.get(path).status_code == 404
    deeds = AuditEntry.objects.exclude(action="accounts.signed_in").order_by("id")
    deeds = list(deeds.values_list("action", "actor_name"))
    assert deeds == [("customers.customer_exported", str(user)), ("files.exportjob_downloaded", str(user))]


def test_the_download_centre_shows_ones_own(tenant: Any, at_once: Any) -> None:
    mine, other = signed_in(a_user(READER)), signed_in(a_user(READER))
    job = at_once(mine)
    page = mine.get(CENTRE).content.decode()
    assert f"/files/{job.file.number}/" in page
    assert "已完成" in page
    assert str(job.file.number) not in other.get(CENTRE).content.decode()
    assert other.get(f"{CENTRE}{job.pk}/change/").status_code == 302
    assert mine.get(f"{CENTRE}{job.pk}/change/").status_code == 200
    assert mine.post(f"{CENTRE}{job.pk}/change/", {}).status_code == 403
    watcher = signed_in(a_user("files.view_exportjob"))
    assert watcher.get(f"{CENTRE}{job.pk}/change/").status_code == 200
    assert "还没有导出" in other.get(CENTRE).content.decode()


def test_the_download_centre_renews_itself_while_something_runs(tenant: Any) -> None:
    user = a_user(READER)
    job = factories.an_export(actor_id=str(user.pk), state="running", done=500, total=1000)
    page = signed_in(user).get(CENTRE).content.decode()
    assert 'hx-trigger="every 2s"' in page
    assert 'aria-valuenow="50"' in page
    assert "500 / 1,000" in page
    ExportJob.objects.filter(pk=job.pk).update(state="failed", error="坏了")
    page = signed_in(user).get(CENTRE).content.decode()
    assert "every 2s" not in page
    assert "坏了" in page


def test_a_list_that_is_too_long_says_so(tenant: Any, at_once: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.a_customer()
    factories.a_customer()
    monkeypatch.setattr(exports, "MAX_ROWS", 1)
    job = at_once(boss())
    assert job.state == ExportState.FAILED
    assert job.error.startswith("列表有 2 行")


def test_progress_is_said_while_it_is_written(tenant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        factories.a_customer()
    user = a_user(READER)
    ask(signed_in(user))
    job = ExportJob.objects.get()
    seen = []
    advance = exports._advance

    def watch(job: ExportJob, **facts: Any) -> bool:
        held = advance(job, **facts)
        seen.append(ExportJob.objects.values_list("state", "done", "total").get())
        return held

    monkeypatch.setattr(exports, "CHUNK", 2)
    monkeypatch.setattr(exports, "_advance", watch)
    exports.run_export(job.pk)
    assert seen == [("running", 0, 5), ("running", 2, 5), ("running", 4, 5), ("done", 5, 5)]


TAKEN_OVER = """
CREATE FUNCTION take_over() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE files_exportjob SET attempt = 2; RETURN NULL; END $$;
CREATE TRIGGER take_over AFTER INSERT ON files_storedfile EXECUTE FUNCTION take_over()
"""


def test_a_worker_that_was_given_up_leaves_no_file(tenant: Any) -> None:
    factories.a_customer()
    user = a_user(READER)
    ask(signed_in(user))
    job = ExportJob.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(TAKEN_OVER)  # another worker takes it over just when the file is kept
    exports.run_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempt, job.file) == (ExportState.RUNNING, 2, None)
    assert not StoredFile.objects.exists()


def test_a_lost_export_is_found_and_given_up_after_some_attempts(tenant: Any) -> None:
    factories.a_customer()
    user = a_user(READER)
    old = now() - timedelta(minutes=6)
    facts = {"model": "customers.customer", "actor_id": str(user.pk)}
    waiting = factories.an_export(**facts, created_at=old)
    died = factories.an_export(**facts, state="running", attempt=1, heartbeat_at=old)
    hopeless = factories.an_export(**facts, state="running", attempt=3, heartbeat_at=old)
    alive = factories.an_export(**facts, state="running", attempt=1, heartbeat_at=now())
    fresh = factories.an_export(**facts)
    assert exports.find_exports() == 3
    found = dict(ExportJob.objects.values_list("pk", "state"))
    assert found == {
        waiting.pk: "done",
        died.pk: "done",
        hopeless.pk: "failed",
        alive.pk: "running",
        fresh.pk: "waiting",
    }


def test_a_defect_is_told_and_logged(tenant: Any, settings: Any, tmp_path: Path) -> None:
    user = a_user(READER)
    ask(signed_in(user))
    job = ExportJob.objects.get()
    (tmp_path / "files").write_bytes(b"no directory")
    use_disk(settings, tmp_path / "files")
    with pytest.raises(OSError, match="files"):
        exports.run_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (ExportState.FAILED, "出了点问题，请重新导出。")


def test_old_files_and_rows_go(tenant: Any, at_once: Any) -> None:
    client = boss()
    job = at_once(client)
    StoredFile.objects.update(expires_at=now())
    assert services.purge() == 1
    job.refresh_from_db()
    assert (job.state, job.file) == (ExportState.DONE, None)
    assert "已删除" in client.get(CENTRE).content.decode()
    assert exports.forget_old() == 0
    ExportJob.objects.update(created_at=now() - timedelta(days=31))
    assert exports.forget_old() == 1


def test_a_direct_export_of_a_long_list_leads_to_the_background(
    tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.a_customer()
    factories.a_customer()
    monkeypatch.setattr("apps.backoffice.admin.EXPORT_ROWS", 1)
    client = boss()
    answer = client.get(f"{LIST}export/?o=1")
    assert (answer.status_code, answer.headers["location"]) == (302, "../?o=1")
    assert "导出为文件" in client.get(LIST).content.decode()
    assert not AuditEntry.objects.filter(action__endswith="exported").exists()


def test_two_workers_write_an_export_once(committed: Any) -> None:
    user = a_user(READER)
    factories.a_customer()
    job = factories.an_export(model="customers.customer", actor_id=str(user.pk))

    def work() -> None:
        with schema_context("t_alpha"):
            exports.run_export(job.pk)
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    job.refresh_from_db()
    assert (job.state, job.attempt, job.done) == (ExportState.DONE, 1, 1)
    assert StoredFile.objects.count() == 1


def test_the_limit_holds_at_the_same_time(committed: Any) -> None:
    user = a_user(READER)
    model_admin = exports.admin_of("customers.customer")
    outcomes: list[str] = []
    start = threading.Barrier(6)

    def press() -> None:
        request = RequestFactory().get(LIST)
        request.user = User.objects.get(pk=user.pk)
        start.wait()
        with schema_context("t_alpha"):
            try:
                exports.request_export(model_admin=model_admin, request=request, export_format="csv")
                outcomes.append("made")
            except TooManyExports:
                outcomes.append("refused")
        connections.close_all()

    def run() -> None:
        with schema_context("t_alpha"):
            press()

    # Nobody works on them: tasks of this test go nowhere.
    send, exports.tasks.run_export.apply_async = (
        exports.tasks.run_export.apply_async,
        lambda *_args, **_more: None,
    )
    try:
        threads = [threading.Thread(target=run) for _ in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    finally:
        exports.tasks.run_export.apply_async = send
    assert sorted(outcomes) == ["made"] * 3 + ["refused"] * 3
    assert ExportJob.objects.count() == 3


def command(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("export", "--tenant", "alpha", "--json", *arguments, stdout=out, stderr=io.StringIO())
    return dict(json.loads(out.getvalue()))


def test_the_command_writes_a_filtered_list(tenant: Any, tmp_path: Path) -> None:
    factories.a_customer(nickname="甲")
    factories.a_customer(nickname="乙")
    path = tmp_path / "customers.csv"
    words = ("--list", "customers.customer", "--filter", "q=甲", "--format", "csv", "--output", str(path))
    assert command(*words, "--dry-run") == {"rows": 1, "written": False, "output": str(path)}
    assert not path.exists()
    assert command(*words) == {"rows": 1, "written": True, "output": str(path)}
    (row,) = rows_of(path.read_bytes())[1:]
    assert "甲" in row
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"--tenant": "nobody"}, 2),
        ({"--list": "customers.nothing"}, 2),
        ({"--list": "nothing"}, 2),
        ({"--list": "auth.group"}, 2),
        ({"--filter": "nickname__nothing=1"}, 1),
        ({"--output": "/no/such/place/x"}, 1),
    ],
)
def test_the_command_says_what_is_wrong(
    tenant: Any, tmp_path: Path, changes: dict[str, str], code: int
) -> None:
    words = {"--tenant": "alpha", "--list": "customers.customer", "--output": str(tmp_path / "x")} | changes
    with pytest.raises(CommandError) as told:
        call_command("export", *(word for pair in words.items() for word in pair))
    assert told.value.returncode == code
