"""Subscribe messages of WeChat and Alipay: what is sent, to whom, and what is not tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.common.time import SHANGHAI
from apps.customers import inbox, signing, subscriptions
from apps.customers.models import Customer, InboxKind, InboxMessage, MiniProgram
from apps.notifications import services as notifications
from apps.notifications.enums import Medium, MessageState
from apps.notifications.models import Message
from sandbox.provider import Fault
from tests import factories
from tests.apps.customers.apps_of_drivers import Apps, apps, provider_servers  # noqa: F401
from tests.staff import boss, form_of

PROVIDERS = ["wechat", "alipay"]
FIELDS = {
    "wechat": {"number": "character_string1", "station": "thing2", "energy": "number3", "amount": "amount4"},
    "alipay": {"number": "keyword1", "station": "keyword2", "energy": "keyword3", "amount": "keyword4"},
}
PAGE = "/admin/customers/miniprogram/"


def template_of(apps: Apps, provider: str, event: str = "charge_ended", **fields: str) -> str:  # noqa: F811
    """Pick a template in the console, and enter it in the back office."""
    mini = MiniProgram.objects.get(provider=provider)
    chosen = fields or FIELDS[provider]
    words = {"app_id": mini.app_id, "fields": [*chosen.values()]}
    found = getattr(apps, provider).control("POST template", words)["template_id"]
    mini.templates[event] = {"id": found, "fields": chosen}
    mini.save()
    return str(found)


def driver_of(apps: Apps, provider: str) -> tuple[Customer, str]:  # noqa: F811
    """A driver who signed in with a mini-program; returns the account there, too."""
    account = signing.account_of(provider=provider, code=apps.code(provider, "张三"))
    return signing.bind(account=account, phone="+8613900000001"), account.openid


def subscribe(apps: Apps, provider: str, openid: str, template_id: str) -> None:  # noqa: F811
    """The driver's yes."""
    mini = MiniProgram.objects.get(provider=provider)
    name = "openid" if provider == "wechat" else "open_id"
    words = {"app_id": mini.app_id, name: openid, "template_id": template_id}
    getattr(apps, provider).control("POST subscribe", words)


def ended(customer: Customer, reference: str = "C1", **data: str) -> InboxMessage:
    """Post the news of a bill, as the settlement does."""
    words = {"station": "滨江公园充电站", "energy": "12.3456", "payable": "15.50", **data}
    inbox.post(inbox.News(customer.pk, InboxKind.CHARGE_ENDED, reference, words))
    return InboxMessage.objects.get(customer=customer, reference=reference)


def sent_by(apps: Apps, provider: str, openid: str) -> list[Any]:  # noqa: F811
    """What the provider brought to an account."""
    found = getattr(apps, provider).messages
    return [one for one in found if openid in (one.get("touser"), one.get("to_open_id"))]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bill_is_told_once(apps: Apps, provider: str, django_capture_on_commit_callbacks: Any) -> None:  # noqa: F811
    template_id = template_of(apps, provider)
    customer, openid = driver_of(apps, provider)
    subscribe(apps, provider, openid, template_id)
    with django_capture_on_commit_callbacks(execute=True):
        ended(customer)
        ended(customer)
    notifications.deliver_app()
    (message,) = Message.objects.filter(medium="app")
    assert (message.state, message.tries, message.template) == (MessageState.SENT, 1, "charge_ended")
    assert openid not in message.to
    (brought,) = sent_by(apps, provider, openid)
    assert brought["page"] == "pkg-user/order?no=C1"
    if provider == "wechat":
        assert brought["data"] == {
            "character_string1": {"value": "C1"},
            "thing2": {"value": "滨江公园充电站"},
            "number3": {"value": "12.3456"},
            "amount4": {"value": "15.50元"},
        }
        assert (brought["template_id"], brought["miniprogram_state"]) == (template_id, "formal")
    else:
        assert '"keyword4": {"value": "15.50"}' in brought["data"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_who_did_not_subscribe_is_not_asked_again(apps: Apps, provider: str) -> None:  # noqa: F811
    template_of(apps, provider)
    customer, openid = driver_of(apps, provider)
    subscriptions.SubscribeMessages().tell(ended(customer))
    notifications.deliver_app()
    (message,) = Message.objects.filter(medium="app")
    assert message.error.partition(":")[0] == ("43101" if provider == "wechat" else "USER_NOT_SUBSCRIBE")
    assert (message.state, message.tries, message.next_try_at) == (MessageState.FAILED, 1, None)
    assert sent_by(apps, provider, openid) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_is_away_is_tried_again(apps: Apps, provider: str) -> None:  # noqa: F811
    template_id = template_of(apps, provider)
    customer, openid = driver_of(apps, provider)
    subscribe(apps, provider, openid, template_id)
    only = "subscribe" if provider == "wechat" else "templatemessage"
    getattr(apps, provider).faults.append(Fault("http_500", 1, only, 0))
    subscriptions.SubscribeMessages().tell(ended(customer))
    notifications.deliver_app()
    (message,) = Message.objects.filter(medium="app")
    assert (message.state, message.error) == (MessageState.WAITING, "http_502")
    assert message.next_try_at > timezone.now()
    Message.objects.update(next_try_at=timezone.now())
    notifications.deliver_app()
    message.refresh_from_db()
    assert message.tries == 1, "it rests for a minute"
    cache.delete(notifications.APP_RESTS + provider)
    notifications.deliver_app()
    message.refresh_from_db()
    assert (message.state, message.tries) == (MessageState.SENT, 2)
    assert len(sent_by(apps, provider, openid)) == 1


def test_news_waits_for_nobody_and_nobody_for_it(apps: Apps) -> None:  # noqa: F811
    """While WeChat is away: one try for all that wait, three for each, none for what is an hour late."""
    template_id = template_of(apps, "wechat")
    customer, openid = driver_of(apps, "wechat")
    subscribe(apps, "wechat", openid, template_id)
    for number in range(3):
        subscriptions.SubscribeMessages().tell(ended(customer, f"C{number}"))
    apps.wechat.faults.append(Fault("http_500", 10, "subscribe", 0))
    notifications.deliver_due()
    assert set(Message.objects.values_list("tries", flat=True)) == {0}, "alarms have senders of their own"
    moment = timezone.now()
    for _round in range(3):
        Message.objects.filter(state="waiting").update(next_try_at=moment)
        first = Message.objects.earliest("id")
        Message.objects.filter(pk=first.pk).update(next_try_at=moment - timedelta(seconds=1))
        cache.delete(notifications.APP_RESTS + "wechat")
        notifications.deliver_app()
        notifications.deliver_app()
    states = Message.objects.order_by("id").values_list("state", "tries")
    assert list(states) == [("failed", 3), ("waiting", 0), ("waiting", 0)]
    late = Message.objects.latest("id")
    Message.objects.filter(pk=late.pk).update(next_try_at=moment - timedelta(minutes=61))
    apps.wechat.faults.clear()
    assert notifications.deliver_app() == 0, "still resting"
    late.refresh_from_db()
    assert (late.state, late.error, late.next_try_at) == ("failed", "too_late", None)
    cache.delete(notifications.APP_RESTS + "wechat")
    assert notifications.deliver_app() == 1
    subscribe(apps, "wechat", openid, template_id)  # the first yes is used up
    notifications.send_again(message=late)
    assert notifications.deliver_app() == 1
    assert len(sent_by(apps, "wechat", openid)) == 2


@pytest.mark.parametrize(("away", "well"), [PROVIDERS, PROVIDERS[::-1]])
def test_a_provider_that_is_away_holds_the_other_up_no_more(apps: Apps, away: str, well: str) -> None:  # noqa: F811
    ids = {provider: template_of(apps, provider) for provider in PROVIDERS}
    for provider in PROVIDERS:
        customer, openid = driver_of(apps, provider)
        for _yes in range(3):
            subscribe(apps, provider, openid, ids[provider])
    getattr(apps, away).faults.append(
        Fault("http_500", 10, "subscribe" if away == "wechat" else "templatemessage", 0)
    )
    for number in range(2):
        subscriptions.SubscribeMessages().tell(ended(customer, f"C{number}"))
    waiting = Message.objects.filter(key__startswith=f"app:{away}:")
    waiting.update(next_try_at=timezone.now() - timedelta(minutes=1))
    assert notifications.deliver_app() == 2
    assert sorted(waiting.values_list("tries", flat=True)) == [0, 1], "one try for all that wait"
    waiting.update(next_try_at=timezone.now() - timedelta(minutes=1))
    subscriptions.SubscribeMessages().tell(ended(customer, "C2"))
    assert notifications.deliver_app() == 1, "nor does it while it rests"
    assert sorted(waiting.values_list("tries", flat=True)) == [0, 0, 1]
    assert set(Message.objects.filter(state="sent").values_list("key", flat=True)) == {
        f"app:{well}:{pk}" for pk in InboxMessage.objects.values_list("pk", flat=True)
    }


def test_an_alarm_goes_out_while_wechat_hangs(apps: Apps, django_capture_on_commit_callbacks: Any) -> None:  # noqa: F811
    """Messages that are due for longer, and a sender that is at one of them, hold nothing up."""
    template_of(apps, "wechat")
    customer, _openid = driver_of(apps, "wechat")
    with django_capture_on_commit_callbacks(execute=False):
        for number in range(2):
            subscriptions.SubscribeMessages().tell(ended(customer, f"C{number}"))
    cache.set(notifications.APP_SENDER, "busy", timeout=60)
    notifications.deliver_app()
    mail = notifications.post(medium=Medium.MAIL, to="boss@alpha.test", subject="告警", text="一号站")
    assert notifications.deliver_due() == 1
    mail.refresh_from_db()
    assert (mail.state, set(Message.objects.filter(medium="app").values_list("state", flat=True))) == (
        MessageState.SENT,
        {"waiting"},
    )


def test_a_token_that_is_no_more_is_fetched_anew(apps: Apps) -> None:  # noqa: F811
    template_id = template_of(apps, "wechat")
    customer, openid = driver_of(apps, "wechat")
    for number in range(2):
        subscribe(apps, "wechat", openid, template_id)
        subscriptions.SubscribeMessages().tell(ended(customer, f"C{number}"))
        notifications.deliver_app()
        apps.wechat.tokens.clear()
    assert len(sent_by(apps, "wechat", openid)) == 2


def test_nothing_is_wanted_where_nothing_can_be_sent(apps: Apps) -> None:  # noqa: F811
    template_of(apps, "wechat")
    elsewhere, _openid = driver_of(apps, "alipay")
    stranger = factories.a_customer("0")
    for customer in (elsewhere, stranger):
        subscriptions.SubscribeMessages().tell(ended(customer))
    customer, _openid = driver_of(apps, "wechat")
    inbox.post(inbox.News(customer.pk, InboxKind.COUPON_GIVEN, "7", {"name": "立减"}))
    inbox.tell(named=[(customer.pk, "coupon_given", "7")])
    MiniProgram.objects.update(is_active=False)
    subscriptions.SubscribeMessages().tell(ended(customer, "C2"))
    assert not Message.objects.exists()


@pytest.mark.parametrize("field", ["amount2", "number2"])
def test_wechat_shows_no_sum_where_there_is_none(apps: Apps, field: str) -> None:  # noqa: F811
    """A driver is not told what is held of an enterprise's money: that is not 0 yuan."""
    own = {"wechat": {"number": "character_string1", "amount": field}, "alipay": FIELDS["alipay"]}
    for provider in PROVIDERS:
        template_id = template_of(apps, provider, "charge_started", **own[provider])
        customer, openid = driver_of(apps, provider)
        subscribe(apps, provider, openid, template_id)
    inbox.post(inbox.News(customer.pk, InboxKind.CHARGE_STARTED, "C1", {"station": "一号站"}))
    news = InboxMessage.objects.get(reference="C1")
    subscriptions.SubscribeMessages().tell(news)
    assert notifications.deliver_app() == 1
    message = Message.objects.get()
    assert (message.state, message.key) == (MessageState.SENT, f"app:alipay:{news.pk}")
    (brought,) = sent_by(apps, "alipay", openid)
    assert '"keyword4": {"value": "-"}' in brought["data"]


def test_a_template_that_shows_a_sum_by_now_shows_none_where_there_is_none(apps: Apps) -> None:  # noqa: F811
    template_of(apps, "wechat", "charge_started", number="character_string1")
    customer, _openid = driver_of(apps, "wechat")
    inbox.post(inbox.News(customer.pk, InboxKind.CHARGE_STARTED, "C1", {"station": "一号站"}))
    subscriptions.SubscribeMessages().tell(InboxMessage.objects.get(reference="C1"))
    template_of(apps, "wechat", "charge_started", amount="amount1")
    notifications.deliver_app()
    message = Message.objects.get()
    assert (message.state, message.error) == (MessageState.FAILED, "no_amount")


def test_an_account_that_was_deleted_is_left_alone(apps: Apps) -> None:  # noqa: F811
    template_id = template_of(apps, "wechat")
    customer, openid = driver_of(apps, "wechat")
    subscribe(apps, "wechat", openid, template_id)
    subscriptions.SubscribeMessages().tell(ended(customer))
    customer.identities.all().delete()
    notifications.deliver_app()
    assert Message.objects.get().error.startswith("gone")
    assert sent_by(apps, "wechat", openid) == []


def test_a_template_that_was_taken_away_sends_nothing(apps: Apps) -> None:  # noqa: F811
    template_of(apps, "wechat")
    customer, _openid = driver_of(apps, "wechat")
    subscriptions.SubscribeMessages().tell(ended(customer))
    MiniProgram.objects.update(templates={})
    notifications.deliver_app()
    assert Message.objects.get().error == "template"


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("thing1", "站" * 20, "站" * 20),
        ("thing1", "站" * 21, "站" * 19 + "…"),
        ("thing1", "", "-"),
        ("character_string2", "C2611张三20", "C261120"),
        ("character_string2", "9" * 40, "9" * 32),
        ("character_string2", "站", "-"),
        ("number3", "12.3456", "12.3456"),
        ("number3", "", "0"),
        ("amount4", "999999.99", "999999.99元"),
        ("phrase5", "账单已经出来了", "账单已经出"),
        ("phrase5", "账单-已出 (1)。", "账单已出"),
        ("phrase5", "Your bill is ready", "无"),
        ("phrase5", "", "无"),
        ("time6", "2026年11月20日 12:00", "2026年11月20日 12:00"),
        ("name7", "站" * 11, "站" * 9 + "…"),
    ],
)
def test_values_fit_their_fields(field: str, value: str, shown: str) -> None:
    assert subscriptions.fitted("wechat", field, value) == shown


def test_every_value_that_we_have_is_taken(apps: Apps) -> None:  # noqa: F811
    """The sandbox knows what each kind of field takes; long names and odd hours are no trouble."""
    fields = {"station": "thing1", "connector": "character_string2", "number": "character_string3"}
    template_id = template_of(
        apps, "wechat", "charge_started", **fields, time="time4", amount="amount5", note="phrase6"
    )
    customer, openid = driver_of(apps, "wechat")
    subscribe(apps, "wechat", openid, template_id)
    words = {"station": "很" * 40, "connector": "3201060000000101", "amount": "50.00"}
    news = inbox.News(customer.pk, InboxKind.CHARGE_STARTED, "C1", words)
    inbox.post(news, at=datetime(2026, 1, 2, 0, 5, tzinfo=SHANGHAI))
    subscriptions.SubscribeMessages().tell(InboxMessage.objects.get(reference="C1"))
    notifications.deliver_app()
    (brought,) = sent_by(apps, "wechat", openid)
    assert brought["data"]["time4"]["value"] == "2026年01月02日 00:05"
    assert brought["page"] == "pages/charge/live?order=C1"


@pytest.mark.parametrize(
    ("kind", "event", "note"),
    [
        (InboxKind.CHARGE_STARTED, "charge_started", "已开始充电"),
        (InboxKind.CHARGE_ENDED, "charge_ended", "账单已出"),
        (InboxKind.ORDER_REFUNDED, "refunded", "充电已退款"),
        (InboxKind.WALLET_REFUNDED, "refunded", "退款已到账"),
    ],
)
def test_a_field_of_chinese_characters_has_them_for_whoever_reads_english(
    apps: Apps,  # noqa: F811
    kind: InboxKind,
    event: str,
    note: str,
) -> None:
    template_id = template_of(apps, "wechat", event, number="character_string1", note="phrase2")
    customer, openid = driver_of(apps, "wechat")
    Customer.objects.update(language="en")
    subscribe(apps, "wechat", openid, template_id)
    inbox.post(inbox.News(customer.pk, kind, "C1", {"station": "S", "payable": "1.00", "amount": "1.00"}))
    subscriptions.SubscribeMessages().tell(InboxMessage.objects.get(reference="C1"))
    notifications.deliver_app()
    message = Message.objects.get(medium="app")
    assert message.state == MessageState.SENT, message.error
    (brought,) = sent_by(apps, "wechat", openid)
    assert brought["data"]["phrase2"]["value"] == note
    assert message.subject.isascii(), "what staff read in the log is as the driver would"


@pytest.mark.parametrize(
    ("kind", "data", "page"),
    [
        (InboxKind.ORDER_REFUNDED, {"amount": "5.00", "order": "C1"}, "pkg-wallet/statement"),
        (InboxKind.WALLET_REFUNDED, {"amount": "80.00"}, "pkg-wallet/statement"),
    ],
)
def test_refunds_are_told(apps: Apps, kind: InboxKind, data: dict[str, str], page: str) -> None:  # noqa: F811
    template_id = template_of(apps, "wechat", "refunded", number="character_string1", amount="amount2")
    customer, openid = driver_of(apps, "wechat")
    subscribe(apps, "wechat", openid, template_id)
    inbox.post(inbox.News(customer.pk, kind, "RF1", data))
    subscriptions.SubscribeMessages().tell(InboxMessage.objects.get(reference="RF1"))
    notifications.deliver_app()
    (brought,) = sent_by(apps, "wechat", openid)
    assert (brought["page"], brought["data"]["amount2"]["value"]) == (page, f"{data['amount']}元")


def test_the_page_takes_templates_and_an_app_learns_which_to_ask_for(apps: Apps) -> None:  # noqa: F811
    mini = MiniProgram.objects.get(provider="wechat")
    chief = boss()
    address = f"{PAGE}{mini.pk}/change/"
    words = form_of(chief, address)
    words |= {"charge_ended_id": "T1", "charge_ended_station": "thing1", "charge_ended_amount": "amount2"}
    words |= {"refunded_id": "T2", "refunded_amount": "amount1"}
    assert chief.post(address, words).status_code == 302
    mini.refresh_from_db()
    assert mini.templates == {
        "charge_ended": {"id": "T1", "fields": {"station": "thing1", "amount": "amount2"}},
        "refunded": {"id": "T2", "fields": {"amount": "amount1"}},
    }
    assert form_of(chief, address)["charge_ended_station"] == "thing1"
    assert subscriptions.asked_for() == [
        {"provider": "wechat", "event": "charge_ended", "template_id": "T1"},
        {"provider": "wechat", "event": "refunded", "template_id": "T2"},
    ]
    for wrong in (
        {"charge_ended_station": "keyword1"},
        {"charge_ended_station": "amount2"},
        {"charge_ended_id": ""},
        {"charge_started_id": "T3"},
    ):
        assert chief.post(address, words | wrong).status_code == 200, wrong
    mini.refresh_from_db()
    assert "charge_started" not in mini.templates
