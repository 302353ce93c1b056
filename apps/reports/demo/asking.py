"""What the demo shows of drivers who want something: invoices in their states, feedback, and an activity for all."""

from __future__ import annotations

import io
from datetime import datetime, timedelta

from apps.common.ids import Actor
from apps.common.time import business_day
from apps.coupons.models import CouponTemplate
from apps.customers.feedback import services as feedback
from apps.customers.feedback.models import Feedback
from apps.invoices import services as invoices
from apps.invoices.models import InvoiceApplication
from apps.invoices.titles import add_title
from apps.marketing import services as marketing
from apps.marketing.models import Activity
from apps.orders.enums import OrderState
from apps.orders.models import Order
from apps.tenancy import features

KEY = "seed:asking"
INVOICES = ("applied", "issued", "rejected")
TITLE = {
    "kind": "company",
    "name": "示例出行服务有限公司",
    "tax_no": "91350100M000100Y43",
    "email": "fapiao@example.com",
}
ACTIVITY = "新客充电礼"
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 280]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)
"""An empty page: the demo issues nothing."""


def seed_asking(until: datetime, staff: Actor) -> None:
    """Make one application for an invoice of each state, two matters of drivers, and an activity; once."""
    orders = Order.objects.filter(state=OrderState.COMPLETED, debt=0, paid_principal__gt=5, source="app")
    fit = (
        orders.filter(refunds=None, invoice_items=None).select_related("customer", "station").order_by("-id")
    )
    if not InvoiceApplication.objects.filter(request_key__startswith=KEY).exists():
        for case, order in zip(INVOICES, fit[: len(INVOICES)], strict=False):
            _invoice(case, order, until, staff)
    if not Feedback.objects.filter(request_key__startswith=KEY).exists():
        texts = (("device", "2 号枪插拔很紧，希望检修。"), ("bill", "请问服务费为什么比上周高？"))
        for order, (kind, text) in zip(fit[:2], texts, strict=False):
            _feedback(order, kind, text, until, staff)
    if features.has(marketing.FEATURE) and not Activity.objects.filter(title=ACTIVITY).exists():
        _activity(until)


def _invoice(case: str, order: Order, until: datetime, staff: Actor) -> None:
    title = add_title(customer=order.customer, values=TITLE)
    application = invoices.apply(
        customer=order.customer,
        title_id=title.pk,
        order_nos=[order.order_no],
        kind="ordinary",
        applied_by=Actor("customer", str(order.customer_id), str(order.customer)),
        request_key=f"{KEY}:{case}",
        at=until - timedelta(minutes=80),
    )
    number, decided_at = application.application_no, until - timedelta(minutes=50)
    if case == "rejected":
        invoices.reject(application_no=number, reviewer=staff, reason="抬头与税号不符，请核对", at=decided_at)
    elif case == "issued":
        invoices.approve(application_no=number, reviewer=staff, at=decided_at)
        invoices.issue(
            application_no=number,
            invoice_no="26310000000000000001",
            issued_on=business_day(decided_at),
            file=io.BytesIO(PDF),
            name="发票.pdf",
            actor=staff,
            at=decided_at,
        )


def _feedback(order: Order, kind: str, text: str, until: datetime, staff: Actor) -> None:
    written = feedback.write(
        customer=order.customer,
        kind=kind,
        text=text,
        actor=Actor("customer", str(order.customer_id), str(order.customer)),
        request_key=f"{KEY}:{kind}",
        station=order.station,
        order_no=order.order_no,
        at=until - timedelta(minutes=70),
    )
    if kind == "bill":
        answer = "您好，本周为尖峰时段价格，详见订单的计费明细。"
        feedback.answer(feedback=written, text=answer, actor=staff, at=until - timedelta(minutes=40))


def _activity(until: datetime) -> None:
    activity = Activity.objects.create(
        title=ACTIVITY,
        summary="领券充电，服务费立减",
        text="<p>活动期间领取优惠券，充电时<strong>自动抵扣服务费</strong>。</p><ul><li>数量有限，先到先得</li></ul>",
        starts_at=until - timedelta(days=1),
        ends_at=until + timedelta(days=30),
    )
    activity.coupon_templates.set(CouponTemplate.objects.filter(is_public=True, is_active=True)[:2])
    marketing.publish(activity=activity, at=until)
