"""Signing in: by password, by phone, with a second factor; locks, the policy of passwords, sessions that are ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django_tenants.utils import schema_context

from apps.accounts import agents, factors, policy, puzzle, upkeep
from apps.accounts.enums import SecondFactorRule
from apps.accounts.models import SignInPolicy, SignInRecord, StaffSession, User
from apps.backoffice.models import AuditEntry
from apps.common.time import now
from tests.staff import a_user, boss, signed_in

START = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
LOGIN, INDEX, SECOND = "/admin/login/", "/admin/", "/admin/sign-in/second/"
PHONE = "+8613900000001"
MONEY = "/admin/wallet/walletrefund/"


@pytest.fixture(autouse=True)
def sms_log(settings: Any, tmp_path: Path) -> Path:
    settings.SMS_LOG = tmp_path / "sms.log"
    return settings.SMS_LOG


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def stranger() -> Client:
    return Client(headers={"host": "alpha.test", "accept-language": "zh-hans", "user-agent": "Firefox"})


def rule(**fields: Any) -> None:
    SignInPolicy.objects.update(**fields)
    policy.forget()


def enter(client: Client, user: User, password: str = "correct horse", **more: str) -> Any:
    return client.post(LOGIN, {"username": user.username, "password": password, **more})


def solved() -> dict[str, str]:
    """What a person sends who has read a picture."""
    made = puzzle.new()
    return {"puzzle": made.token, "answer": made.text}


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


def log(*fields: str) -> list[tuple[Any, ...]]:
    return list(SignInRecord.objects.order_by("id").values_list(*fields))


def app_of(user: User) -> pyotp.TOTP:
    """Give a person an authenticator app that was used long ago."""
    secret = factors.new_secret()
    User.objects.filter(pk=user.pk).update(totp_secret="", totp_since=now())
    user.refresh_from_db()
    user.totp_secret = secret
    user.save()
    return pyotp.TOTP(secret)


def last_code(sms_log: Path) -> str:
    return sms_log.read_text().split()[-1]


def words_of(answer: Any) -> str:
    return re.sub(r"<[^>]*>", "", answer.content.decode())


# --- Password ---


def test_the_log_says_who_came_in_and_who_did_not_and_why(tenant: Any) -> None:
    user, disabled = a_user(), a_user(is_active=False)
    client = stranger()
    answers = {
        words_of(enter(client, user, "wrong")),
        words_of(enter(client, disabled)),
        words_of(client.post(LOGIN, {"username": "nobody", "password": "x"})),
    }
    texts = {re.search("用户名与密码不匹配[^。]*。", text).group() for text in answers}  # type: ignore[union-attr]
    assert len(texts) == 1, "nobody learns which names there are"
    answer = enter(client, user, next="/admin/orders/order/", **solved())  # the address failed three times
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/orders/order/")
    client.post("/admin/logout/")
    assert not is_in(client)
    assert log("name", "user", "method", "outcome", "agent") == [
        (user.username, user.pk, "password", "wrong_password", "Firefox"),
        (disabled.username, disabled.pk, "password", "disabled", "Firefox"),
        ("nobody", None, "password", "unknown", "Firefox"),
        (user.username, user.pk, "password", "signed_in", "Firefox"),
        (user.username, user.pk, "password", "signed_out", "Firefox"),
    ]
    page = boss().get("/admin/accounts/signinrecord/").content.decode()
    assert "密码错误" in page
    assert "无此账号" in page
    assert "nobody" in boss().get("/admin/accounts/signinrecord/export/").content.decode()


@pytest.mark.parametrize(
    "then", ["https://evil.example/", "//evil.example", "/admin/logout/", "javascript:x"]
)
def test_nobody_is_led_astray_after_signing_in(tenant: Any, then: str) -> None:
    assert enter(stranger(), a_user(), next=then).headers["location"] == INDEX


def test_ten_failures_lock_the_name_and_the_address_for_a_while(tenant: Any, clock: Any) -> None:
    user = a_user()
    for number in range(10):
        stranger().post(
            LOGIN,
            {"username": user.username, "password": "no", **solved()},
            REMOTE_ADDR=f"203.0.113.{number}",
        )
    answer = [enter(stranger(), user) for _ in range(3)][-1]
    assert "失败次数过多" in words_of(answer)
    assert log("outcome").count(("locked",)) == 1, "no flood fills the log"
    assert "15 分钟" in words_of(answer)
    # Somebody else comes in; from an address that failed as often, nobody does.
    assert enter(stranger(), a_user()).status_code == 302
    for number in range(10):
        stranger().post(
            LOGIN,
            {"username": f"guess{number}", "password": "no", **solved()},
            REMOTE_ADDR="198.51.100.1",
        )
    locked = stranger().post(
        LOGIN, {"username": a_user().username, "password": "correct horse"}, REMOTE_ADDR="198.51.100.1"
    )
    assert locked.status_code == 200
    clock.shift(15 * 60 + 1)
    assert enter(stranger(), user).status_code == 302
    assert log("outcome")[-1] == ("signed_in",)


def test_fewer_failures_than_there_were_lock_only_with_the_next(tenant: Any, clock: Any) -> None:
    """Where the policy was made stricter, who knows the password comes in; who guesses on is locked, for all to see."""
    rule(puzzle_failures=0)
    knows, guesses = a_user(), a_user()
    for number in range(6):
        for user in (knows, guesses):
            words = {"username": user.username, "password": "no"}
            stranger().post(LOGIN, words, REMOTE_ADDR=f"203.0.113.{number}")
    rule(failures=5)
    assert enter(stranger(), knows).status_code == 302
    enter(stranger(), guesses, "no")
    assert "15 分钟" in words_of(enter(stranger(), guesses))
    assert log("outcome")[-3:] == [("signed_in",), ("wrong_password",), ("locked",)]
    assert "已锁定" in boss().get(f"/admin/accounts/user/{guesses.pk}/change/").content.decode()


def test_an_administrator_unlocks(tenant: Any) -> None:
    user = a_user()
    for number in range(10):
        stranger().post(
            LOGIN,
            {"username": user.username, "password": "no", **solved()},
            REMOTE_ADDR=f"203.0.113.{number}",
        )
    client, page = boss(), f"/admin/accounts/user/{user.pk}/"
    assert "已锁定" in client.get(f"{page}change/").content.decode()
    clerk = signed_in(a_user("accounts.view_user", "accounts.change_user"))
    assert clerk.post(f"{page}unlock/", {"_form_submitted": "on"}).status_code == 403
    client.post(f"{page}unlock/", {"_form_submitted": "on"})
    assert enter(stranger(), user).status_code == 302
    assert AuditEntry.objects.filter(action="accounts.user_unlocked", object_id=user.pk).count() == 1


# --- The picture after some failures ---


def fails(user: User, times: int, *, address: str = "203.0.113.1") -> None:
    for _ in range(times):
        sent = {"username": user.username, "password": "no", **solved()}
        stranger().post(LOGIN, sent, REMOTE_ADDR=address)


def test_after_three_failures_of_a_name_a_picture_has_to_be_read(tenant: Any, clock: Any) -> None:
    user = a_user()
    fails(user, 2)
    assert "data:image/png" in enter(stranger(), user, "wrong").content.decode(), "the third"
    asked = enter(stranger(), user)
    assert asked.status_code == 200
    assert "请输入图片中的字符" in words_of(asked)
    assert 'src="data:image/png;base64,' in asked.content.decode()
    assert 'name="answer"' in asked.content.decode()
    assert enter(stranger(), user, **solved()).status_code == 302
    assert enter(stranger(), user).status_code == 302, "whoever came in begins anew"


def test_an_address_that_failed_often_is_asked_before_any_name(tenant: Any, clock: Any) -> None:
    for _ in range(3):
        fails(a_user(), 1, address="198.51.100.1")
    page = stranger().get(LOGIN, REMOTE_ADDR="198.51.100.1").content.decode()
    assert "data:image/png" in page
    assert "data:image/png" not in stranger().get(LOGIN).content.decode()
    clock.shift(3601)
    assert "data:image/png" not in stranger().get(LOGIN, REMOTE_ADDR="198.51.100.1").content.decode()


def test_an_answer_is_good_once_and_only_if_it_is_right(tenant: Any, clock: Any) -> None:
    user, other = a_user(), a_user()
    fails(user, 3)
    fails(other, 3, address="203.0.113.2")
    made = puzzle.new()
    wrong = {"puzzle": made.token, "answer": "?????"}
    right = {"puzzle": made.token, "answer": f" {made.text.lower()} "}
    assert enter(stranger(), user, **wrong).status_code == 200
    assert enter(stranger(), user, **right).status_code == 200, "a wrong answer uses it up"
    late = solved()
    clock.shift(puzzle.GOOD_FOR_S)
    assert enter(stranger(), user, **late).status_code == 200
    made = puzzle.new()
    right = {"puzzle": made.token, "answer": f" {made.text.lower()} "}
    assert enter(stranger(), user, **right).status_code == 302
    assert enter(stranger(), other, **right).status_code == 200, "it was used"
    with schema_context("public"):
        elsewhere = solved()
    assert enter(stranger(), other, **elsewhere).status_code == 200, "it was another back office's"


def test_without_an_answer_no_password_is_looked_at_and_nobody_locked_out(tenant: Any, clock: Any) -> None:
    user = a_user()
    fails(user, 3)
    before = SignInRecord.objects.count()
    for _ in range(20):
        assert enter(stranger(), user, "no").status_code == 200
    assert SignInRecord.objects.count() == before
    assert enter(stranger(), user, **solved()).status_code == 302


def test_another_picture_keeps_the_name_and_says_nothing_of_a_missing_password(tenant: Any) -> None:
    user = a_user()
    fails(user, 3)
    answer = stranger().post(LOGIN, {"username": user.username, "another": "1"})
    html = answer.content.decode()
    assert f'value="{user.username}"' in html
    assert "data:image/png" in html
    assert answer.context_data["form"].errors == {}


def test_the_picture_can_be_switched_off_and_never_looks_the_same(tenant: Any) -> None:
    made = puzzle.new()
    assert made.picture != made.picture
    assert made.text not in repr(made)
    rule(puzzle_failures=0)
    user = a_user()
    for _ in range(4):
        enter(stranger(), user, "no")
    assert enter(stranger(), user).status_code == 302


# --- The policy of passwords ---


def test_a_given_password_is_changed_at_the_first_sign_in(tenant: Any) -> None:
    form = {"username": "wang", "usable_password": "true", "phone": "139 0000 0001"}
    form |= {"password1": "Given-by-boss1", "password2": "Given-by-boss1"}
    assert boss().post("/admin/accounts/user/add/", form).status_code == 302
    user = User.objects.get(username="wang")
    assert (user.phone, user.must_change_password) == (PHONE, True)
    client = stranger()
    assert enter(client, user, "Given-by-boss1").headers["location"] == "/admin/sign-in/password/"
    assert not is_in(client), "nobody is in before everything is done"

    def choose(first: str, second: str = "") -> Any:
        return client.post("/admin/sign-in/password/", {"password1": first, "password2": second or first})

    for password, refused in {
        "Ab1": "密码至少 8 个字符",
        "onlyletters": "密码至少包含以下字符中的 2 类",
        "Wang-2026-x": "密码不能包含用户名",
        "Given-by-boss1": "这个密码以前用过",
    }.items():
        assert refused in words_of(choose(password)), password
    assert "两次输入的密码不一致" in words_of(choose("Mine-alone-1", "Mine-alone-2"))
    assert choose("Mine-alone-1").headers["location"] == INDEX
    assert is_in(client)
    assert enter(stranger(), user, "Mine-alone-1").headers["location"] == INDEX


def test_old_passwords_are_renewed_and_not_used_again(tenant: Any, clock: Any) -> None:
    rule(password_days=90, password_history=2)
    user = a_user()
    clock.shift(timedelta(days=91))
    client = stranger()
    assert enter(client, user).headers["location"] == "/admin/sign-in/password/"
    new = {"password1": "Second-one-2", "password2": "Second-one-2"}
    assert client.post("/admin/sign-in/password/", new).headers["location"] == INDEX
    change = {
        "old_password": "Second-one-2",
        "new_password1": "correct horse",
        "new_password2": "correct horse",
    }
    assert "这个密码以前用过" in words_of(client.post("/admin/password_change/", change))
    for number in (3, 4):
        User.objects.get(pk=user.pk)
        old = "Second-one-2" if number == 3 else "Number-3-now"
        fresh = f"Number-{number}-now"
        change = {"old_password": old, "new_password1": fresh, "new_password2": fresh}
        assert client.post("/admin/password_change/", change).status_code == 302
    change = {
        "old_password": "Number-4-now",
        "new_password1": "correct horse",
        "new_password2": "correct horse",
    }
    assert client.post("/admin/password_change/", change).status_code == 302, "the third last may come back"


def test_a_changed_password_ends_the_other_sessions(tenant: Any) -> None:
    user, here, there = a_user(), stranger(), stranger()
    enter(here, user)
    enter(there, user)
    change = {"old_password": "correct horse", "new_password1": "Battery-55", "new_password2": "Battery-55"}
    assert here.post("/admin/password_change/", change).status_code == 302
    assert (is_in(here), is_in(there)) == (True, False)
    assert "当前设备" in here.get("/admin/me/").content.decode()
    assert sorted(StaffSession.objects.values_list("ended_because", flat=True)) == ["", "password"]


def test_a_password_given_anew_ends_the_persons_sessions(tenant: Any) -> None:
    user, client = a_user(), stranger()
    enter(client, user)
    new = {"usable_password": "true", "password1": "Given-again-1", "password2": "Given-again-1"}
    assert boss().post(f"/admin/accounts/user/{user.pk}/password/", new).status_code == 302
    assert not is_in(client)
    assert enter(client, user, "Given-again-1").headers["location"] == "/admin/sign-in/password/"


# --- Phone ---


def test_a_phone_and_a_code_sign_in(tenant: Any, clock: Any, sms_log: Path) -> None:
    user = a_user(phone=PHONE)
    client, page = stranger(), "/admin/sign-in/phone/"
    asked = words_of(client.post(page, {"phone": "139 0000 0001", "next": MONEY}, follow=True))
    unknown = words_of(stranger().post(page, {"phone": "13900000009"}, follow=True))
    assert "139****0001" in asked
    assert unknown.replace("0009", "0001").split("csrf")[0].split() == asked.split("csrf")[0].split()
    assert len(sms_log.read_text().splitlines()) == 1, "nothing is sent to a number that nobody has"
    code = last_code(sms_log)
    assert "验证码错误或已失效" in words_of(client.post(page, {"code": f"{(int(code) + 1) % 10**6:06d}"}))
    assert client.post(page, {"code": code}).headers["location"] == MONEY
    assert is_in(client)
    assert log("method", "outcome") == [("phone", "wrong_code"), ("phone", "signed_in")]
    again = stranger()
    again.post(page, {"phone": PHONE})
    assert "过于频繁" in words_of(again.post(page, {"phone": PHONE}))
    rule(phone_sign_in=False)
    assert stranger().get(page).headers["location"] == LOGIN
    assert User.objects.get(pk=user.pk).last_login == START


def test_a_phone_is_one_persons(tenant: Any) -> None:
    a_user(phone=PHONE)
    other = a_user()
    form = {"username": other.username, "is_active": "on", "scope": "all", "phone": "13900000001"}
    answer = boss().post(f"/admin/accounts/user/{other.pk}/change/", form)
    assert "其他员工已使用这个手机号" in words_of(answer)
    answer = boss().post(f"/admin/accounts/user/{other.pk}/change/", {**form, "phone": "12345"})
    assert "手机号格式不正确" in words_of(answer)


# --- Second factor ---


def test_a_second_factor_is_asked_for_once_it_is_set_up(tenant: Any, clock: Any) -> None:
    user, client = a_user(), stranger()
    enter(client, user)
    page = client.get("/admin/me/set-up/")
    assert "请先输入密码" in words_of(page)
    assert client.post("/admin/me/set-up/", {"current": "wrong"}).status_code == 200
    assert client.post("/admin/me/set-up/", {"current": "correct horse"}).status_code == 302
    text = client.get("/admin/me/set-up/").content.decode()
    assert "<svg" in text
    secret = re.search('id="secret">([A-Z2-7 ]+)<', text).group(1).replace(" ", "")  # type: ignore[union-attr]
    app = pyotp.TOTP(secret)
    assert "验证码错误" in words_of(client.post("/admin/me/set-up/", {"code": "000000"}))
    answer = client.post("/admin/me/set-up/", {"code": app.at(START)})
    recovery = re.findall("[2-9A-Z]{4}-[2-9A-Z]{4}-[2-9A-Z]{4}", answer.content.decode())
    assert len(recovery) == 10
    assert secret not in str(User.objects.values_list("password", "totp_since"))

    second = stranger()
    assert enter(second, user).headers["location"] == SECOND
    assert not is_in(second)
    used = second.post(SECOND, {"method": "totp", "code": app.at(START)})
    assert "验证码错误" in words_of(used), "no code is good twice"
    clock.shift(30)
    code = app.at(START + timedelta(seconds=30))
    assert second.post(SECOND, {"method": "totp", "code": code}).headers["location"] == INDEX
    assert is_in(second)

    third = stranger()
    enter(third, user)
    assert third.post(SECOND, {"method": "recovery", "code": recovery[3].lower()}).status_code == 302
    fourth = stranger()
    enter(fourth, user)
    assert fourth.post(SECOND, {"method": "recovery", "code": recovery[3]}).status_code == 200
    assert fourth.post(SECOND, {"method": "password", "code": "correct horse"}).status_code == 200
    assert not is_in(fourth), "a password is no second factor after a password"
    clock.shift(601)
    assert fourth.post(SECOND, {"method": "recovery", "code": recovery[4]}).headers["location"] == LOGIN

    AuditEntry.objects.get(action="accounts.user_second_factor_set")
    boss().post(
        f"/admin/accounts/user/{user.pk}/reset-second-factor/", {"_form_submitted": "on", "reason": "丢手机"}
    )
    assert not is_in(second), "its sessions end"
    assert enter(stranger(), user).headers["location"] == INDEX


def test_pages_of_money_and_staff_ask_for_a_second_factor(tenant: Any, clock: Any, sms_log: Path) -> None:
    user, client = a_user("wallet.view_walletrefund", phone=PHONE), stranger()
    enter(client, user)
    asked = client.get(f"{MONEY}?state=applied")
    assert (
        asked.headers["location"]
        == "/admin/me/confirm/?next=%2Fadmin%2Fwallet%2Fwalletrefund%2F%3Fstate%3Dapplied"
    )
    dialog = client.post(
        f"{MONEY}1/approve/",
        headers={"hx-request": "true", "hx-current-url": f"http://alpha.test{MONEY}1/change/"},
    )
    assert (
        dialog.headers["hx-redirect"]
        == "/admin/me/confirm/?next=%2Fadmin%2Fwallet%2Fwalletrefund%2F1%2Fchange%2F"
    )
    assert client.get("/admin/orders/order/").status_code == 403, "elsewhere permissions decide"
    confirm = "/admin/me/confirm/"
    assert "验证码已发送" in words_of(client.post(confirm, {"send": "1", "next": MONEY}))
    assert client.post(confirm, {"method": "phone", "code": "000000", "next": MONEY}).status_code == 200
    done = client.post(confirm, {"method": "phone", "code": last_code(sms_log), "next": MONEY})
    assert done.headers["location"] == MONEY
    assert client.get(MONEY).status_code == 200
    clock.shift(timedelta(minutes=121))
    assert client.get(MONEY).status_code == 302, "after a while it is asked for again"
    rule(second_factor=SecondFactorRule.OWN)
    assert client.get(MONEY).status_code == 200, "only who has set one up"
    # Who signed in by phone proves nothing new by the same phone.
    rule(second_factor=SecondFactorRule.MONEY)
    by_phone = stranger()
    by_phone.post("/admin/sign-in/phone/", {"phone": PHONE})
    by_phone.post("/admin/sign-in/phone/", {"code": last_code(sms_log)})
    assert is_in(by_phone)
    clock.shift(61)
    by_phone.post(confirm, {"send": "1"})
    assert by_phone.post(confirm, {"method": "phone", "code": last_code(sms_log)}).status_code == 200
    assert by_phone.post(confirm, {"method": "password", "code": "correct horse"}).status_code == 302
    assert by_phone.get(MONEY).status_code == 200


@pytest.mark.parametrize(
    "page",
    [
        "wallet/bonustier", "orders/abnormalorder", "orders/transactionrecord", "orders/billingpolicy",
        "pricing/pricetemplate", "pricing/pricetemplate/new", "pricing/priceassignment", "pricing/pricetask/new",
        "pricing/retailprice/new", "coupons/coupontemplate", "coupons/coupon", "customers/enterprise",
        "franchisees/franchisee",
    ],
)  # fmt: skip
def test_so_do_pages_of_prices_and_of_what_others_are_paid(tenant: Any, clock: Any, page: str) -> None:
    user, client = a_user(superuser=True, phone=PHONE), stranger()
    enter(client, user)
    assert client.get(f"/admin/{page}/").headers["location"].startswith("/admin/me/confirm/")
    assert client.get("/admin/invoices/invoiceapplication/").status_code == 200, "no money moves there"
    assert signed_in(user).get(f"/admin/{page}/", follow=True).status_code == 200


def test_everybody_needs_one_where_the_policy_says_so(tenant: Any, clock: Any) -> None:
    rule(second_factor=SecondFactorRule.ALL)
    user, client = a_user(), stranger()
    assert enter(client, user).headers["location"] == "/admin/sign-in/set-up/"
    text = client.get("/admin/sign-in/set-up/").content.decode()
    secret = re.search('id="secret">([A-Z2-7 ]+)<', text).group(1).replace(" ", "")  # type: ignore[union-attr]
    answer = client.post("/admin/sign-in/set-up/", {"code": pyotp.TOTP(secret).at(START)})
    assert "我已妥善保存" in words_of(answer)
    assert not is_in(client)
    assert client.post("/admin/sign-in/go-on/").headers["location"] == INDEX
    assert is_in(client)
    for page in ("second/", "set-up/", "password/"):
        assert stranger().get(f"/admin/sign-in/{page}").headers["location"] == LOGIN


def test_wrong_second_factors_lock(tenant: Any, clock: Any) -> None:
    user = a_user()
    app = app_of(user)
    client = stranger()
    enter(client, user)
    for _ in range(10):
        client.post(SECOND, {"method": "totp", "code": "000000"})
    assert "失败次数过多" in words_of(client.post(SECOND, {"method": "totp", "code": app.at(START)}))
    assert log("outcome")[-1] == ("locked",)


# --- Sessions ---


def test_people_see_and_end_their_own_sessions(tenant: Any, clock: Any) -> None:
    user = a_user()
    here, there, third = stranger(), stranger(), stranger()
    for client in (here, there, third):
        enter(client, user)
    foreign = stranger()
    enter(foreign, a_user())
    own, other = StaffSession.objects.filter(user=user).order_by("pk")[:2]
    assert here.get("/admin/me/").content.decode().count("/end/") == 2
    foreign.post(f"/admin/me/sessions/{other.pk}/end/")
    assert is_in(there), "nobody ends another's session"
    here.post(f"/admin/me/sessions/{own.pk}/end/")
    assert is_in(here), "nor, by this button, one's own"
    here.post(f"/admin/me/sessions/{other.pk}/end/")
    assert [is_in(client) for client in (here, there, third, foreign)] == [True, False, True, True]
    here.post("/admin/me/sessions/end-others/")
    assert [is_in(client) for client in (here, third, foreign)] == [True, False, True]
    assert set(StaffSession.objects.filter(user=user).values_list("ended_because", flat=True)) == {
        "",
        "revoked",
    }

    User.objects.filter(pk=user.pk).update(is_active=False)
    assert not is_in(here)
    User.objects.filter(pk=user.pk).update(is_active=True)
    chief = boss()
    listed = chief.get("/admin/accounts/staffsession/").content.decode()
    assert "本人结束" in listed
    clerk = signed_in(a_user("accounts.view_staffsession"))
    assert (
        clerk.post(f"/admin/accounts/staffsession/{own.pk}/end/", {"_form_submitted": "on"}).status_code
        == 403
    )
    chief.post(f"/admin/accounts/staffsession/{own.pk}/end/", {"_form_submitted": "on"})
    assert not is_in(here)

    # One that nobody uses ends by itself, one that is used does not.
    clock.shift(timedelta(minutes=470))
    assert is_in(foreign)
    clock.shift(timedelta(minutes=470))
    assert is_in(foreign)
    clock.shift(timedelta(minutes=481))
    assert not is_in(foreign)
    clock.shift(timedelta(days=401))
    assert upkeep.purge()["sign_ins"] > 0
    assert (SignInRecord.objects.count(), StaffSession.objects.count()) == (0, 0)


def test_the_own_page(tenant: Any, clock: Any, sms_log: Path) -> None:
    user, client = a_user(), stranger()
    enter(client, user)
    answer = client.post("/admin/me/", {"display_name": "<b>王</b>", "email": "", "language": "en"})
    assert client.cookies["django_language"].value == "en"
    assert answer.status_code == 302
    assert "&lt;b&gt;王&lt;/b&gt;" in client.get("/admin/me/").content.decode()
    assert AuditEntry.objects.get(action="accounts.user_changed").changes["display_name"] == ["", "<b>王</b>"]
    client.post(
        "/admin/me/", {"display_name": "王", "language": "zh-hans", "username": "root", "is_superuser": "on"}
    )
    user.refresh_from_db()
    assert (user.display_name, user.is_superuser, user.username != "root") == ("王", False, True)

    a_user(phone="+8613900000002")
    page = "/admin/me/phone/"
    assert client.post(page, {"phone": "13900000001", "current": "wrong"}).status_code == 200
    assert not sms_log.exists()
    assert "其他员工已使用" in words_of(
        client.post(page, {"phone": "13900000002", "current": "correct horse"})
    )
    assert "139****0001" in words_of(client.post(page, {"phone": "13900000001", "current": "correct horse"}))
    assert client.post(page, {"code": last_code(sms_log)}).headers["location"] == "/admin/me/"
    user.refresh_from_db()
    assert user.phone == PHONE
    assert PHONE not in str(AuditEntry.objects.values_list("changes", flat=True))


def test_the_policy_has_a_page(tenant: Any) -> None:
    row, client = SignInPolicy.objects.get(), boss()
    page = f"/admin/accounts/signinpolicy/{row.pk}/change/"
    form = {name: str(getattr(row, name)) for name in (
        "second_factor", "second_factor_minutes", "password_length", "password_kinds", "password_history",
        "password_days", "failures", "lock_minutes", "puzzle_failures", "idle_minutes",
    )}  # fmt: skip
    assert client.post(page, {**form, "password_length": "4"}).status_code == 200
    assert client.post(page, {**form, "password_length": "12"}).status_code == 302
    assert policy.current().password_length == 12
    assert policy.current().phone_sign_in is False, "a box that is not ticked"
    reader = signed_in(a_user("accounts.view_signinpolicy"))
    assert reader.post(page, form).status_code == 403


def test_the_platforms_staff_sign_in_the_same_way(tenant: Any, platform_client: Client) -> None:
    connection.set_schema_to_public()
    user = a_user(superuser=True)
    assert enter(platform_client, user).headers["location"] == INDEX
    assert platform_client.get("/admin/me/").status_code == 200
    assert platform_client.get("/admin/accounts/user/").status_code == 302, "staff: a second factor first"
    assert log("name", "outcome") == [(user.username, "signed_in")]


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0",
            "Edge · Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile MicroMessenger/8.0",
            "微信 · iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605 Version/18 Safari/605",
            "Safari · macOS",
        ),
        ("curl/8.5", "curl/8.5"),
        ("", "未知"),
    ],
)
def test_a_device_in_words(agent: str, expected: str) -> None:
    assert agents.words(agent) == expected
