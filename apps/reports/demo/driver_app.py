"""How the demo's mini-program looks, and what its drivers agree to."""

from __future__ import annotations

from collections.abc import Iterable

from apps.customers import agreements
from apps.customers.models import (
    Agreement,
    AgreementKind,
    Consent,
    Customer,
    DriverAppSettings,
    SignInMethod,
)

TEXTS: dict[AgreementKind, tuple[str, str]] = {
    AgreementKind.TERMS: (
        "用户协议",
        (
            "<h2>一、服务内容</h2><p>本小程序提供充电站查询、扫码充电、充值与退款服务。</p>"
            "<h2>二、价格</h2><p>充电前公示电费与服务费单价，单位为元/千瓦时；开始充电后，本次充电的价格不再变化。</p>"
            "<h2>三、占位</h2><p>充电结束后请及时驶离。占位费如有收取，开始前另行公示。</p>"
        ),
    ),
    AgreementKind.PRIVACY: (
        "隐私政策",
        (
            "<h2>一、我们收集的信息</h2><ul><li>手机号：用于登录与联系。</li>"
            "<li>位置：经您同意后用于显示附近的站点，可以不提供。</li><li>车牌：用于停车减免，可以不提供。</li></ul>"
            "<h2>二、您的权利</h2><p>您可以在“我的”页面查看、导出、更正个人信息，或注销账号。</p>"
        ),
    ),
    AgreementKind.RECHARGE: (
        "充值协议",
        (
            "<h2>一、余额</h2><p>余额仅限在本运营商的站点使用，永久有效。</p>"
            "<h2>二、退款</h2><p>未使用的本金可随时申请原路退回；赠送金不可提现。</p>"
        ),
    ),
}


def seed_driver_app() -> None:
    """Fill in what nobody has filled in yet: the service phone, and a first version of each agreement."""
    DriverAppSettings.objects.filter(service_phone="").update(
        service_phone="400-800-1234", service_hours="每天 0:00–24:00", about="演示用的充电运营商。"
    )
    for kind, (title, body) in TEXTS.items():
        if not Agreement.objects.filter(kind=kind).exists():
            draft = Agreement.objects.create(kind=kind, title=title, body=body)
            agreements.publish(agreement=draft, by="管理员")


def agree(customers: Iterable[Customer]) -> None:
    """Let drivers of the demo agree to all that is published, as they do in the app; again changes nothing."""
    texts = agreements.current()
    Consent.objects.bulk_create(
        [
            Consent(customer=one, agreement=text, method=SignInMethod.SMS)
            for one in customers
            for text in texts
        ],
        ignore_conflicts=True,
    )
