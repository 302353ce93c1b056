"""URLs of the driver API, below /api/v1/."""

from __future__ import annotations

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from apps.miniapp import (
    account,
    activities,
    agreements,
    app_info,
    auth,
    charging,
    coupons,
    devices,
    enterprise,
    feedback,
    finding,
    inbox,
    invoices,
    orders,
    phone,
    quotes,
    refunds,
    sign_in,
    stations,
    vehicles,
    wallet,
)
from apps.miniapp.api import UnknownPathView


class NumberConverter(StringConverter):
    """An order, top-up or station number; whatever else stands there is no path of the API."""

    regex = "[0-9A-Za-z_-]{1,32}"


register_converter(NumberConverter, "number")

app_name = "miniapp"
urlpatterns = [
    path("app", app_info.AppView.as_view(), name="app"),
    path("agreements", agreements.AgreementsView.as_view(), name="agreements"),
    path("agreements/<number:kind>", agreements.AgreementView.as_view(), name="agreement"),
    path("auth/sms-code", auth.SmsCodeView.as_view(), name="sms_code"),
    path("auth/login", auth.LoginView.as_view(), name="login"),
    path("auth/wechat", sign_in.WechatView.as_view(), name="wechat"),
    path("auth/alipay", sign_in.AlipayView.as_view(), name="alipay"),
    path("auth/bind-phone", sign_in.BindView.as_view(), name="bind_phone"),
    path("auth/refresh", devices.RefreshView.as_view(), name="refresh"),
    path("auth/logout", devices.LogoutView.as_view(), name="logout"),
    path("me", auth.MeView.as_view(), name="me"),
    path("stations", finding.StationsView.as_view(), name="stations"),
    path("cities", finding.CitiesView.as_view(), name="cities"),
    path("map", finding.MapView.as_view(), name="map"),
    path("stations/<number:station_no>/coupons", coupons.StationOffersView.as_view(), name="station_coupons"),
    path("me/profile", account.ProfileView.as_view(), name="profile"),
    path("me/avatar", account.AvatarView.as_view(), name="avatar"),
    path("me/avatar/ticket", account.AvatarTicketView.as_view(), name="avatar_ticket"),
    path("me/data-export", account.ExportView.as_view(), name="data_export"),
    path("me/deletion", account.DeletionView.as_view(), name="deletion"),
    path("me/consents", agreements.ConsentsView.as_view(), name="consents"),
    path("me/devices", devices.DevicesView.as_view(), name="devices"),
    path("me/devices/<number:number>/sign-out", devices.SignOutDeviceView.as_view(), name="device_sign_out"),
    path("me/phone", phone.PhoneView.as_view(), name="phone"),
    path("me/phone/code", phone.PhoneCodeView.as_view(), name="phone_code"),
    path("stations/<number:station_no>", stations.StationView.as_view(), name="station"),
    path("connectors/<str:code>", stations.ConnectorView.as_view(), name="connector"),
    path("connectors/<str:code>/coupons", coupons.UsableView.as_view(), name="usable_coupons"),
    path("coupons", coupons.CouponsView.as_view(), name="coupons"),
    path("coupons/offers", coupons.OffersView.as_view(), name="coupon_offers"),
    path("quotes", quotes.QuotesView.as_view(), name="quotes"),
    path("vehicles", vehicles.VehiclesView.as_view(), name="vehicles"),
    path("vehicles/<int:vehicle_id>", vehicles.VehicleView.as_view(), name="vehicle"),
    path("vehicles/<int:vehicle_id>/default", vehicles.DefaultVehicleView.as_view(), name="default_vehicle"),
    path("vehicles/<int:vehicle_id>/remove", vehicles.RemoveVehicleView.as_view(), name="remove_vehicle"),
    path("activities", activities.ActivitiesView.as_view(), name="activities"),
    path("activities/banners", activities.BannersView.as_view(), name="activity_banners"),
    path("activities/<number:activity_id>", activities.ActivityView.as_view(), name="activity"),
    path("charges", charging.ChargesView.as_view(), name="charges"),
    path("charges/<number:order_no>", charging.ChargeView.as_view(), name="charge"),
    path("charges/<number:order_no>/stop", charging.StopView.as_view(), name="stop"),
    path("charges/<number:order_no>/ticket", charging.TicketView.as_view(), name="ticket"),
    path("enterprise", enterprise.EnterpriseView.as_view(), name="enterprise"),
    path("enterprise/join", enterprise.JoinView.as_view(), name="join_enterprise"),
    path("enterprise/payer", enterprise.PayerView.as_view(), name="enterprise_payer"),
    path("enterprise/leave", enterprise.LeaveView.as_view(), name="leave_enterprise"),
    path("messages", inbox.MessagesView.as_view(), name="messages"),
    path("messages/unread", inbox.UnreadView.as_view(), name="unread_messages"),
    path("messages/read", inbox.ReadAllView.as_view(), name="read_messages"),
    path("messages/<int:message_id>/read", inbox.ReadView.as_view(), name="read_message"),
    path("order-counts", orders.OrderCountsView.as_view(), name="order_counts"),
    path("orders", orders.OrdersView.as_view(), name="orders"),
    path("orders/<number:order_no>", orders.OrderView.as_view(), name="order"),
    path("orders/<number:order_no>/refunds", refunds.RefundOrderView.as_view(), name="refund_order"),
    path("order-refunds", refunds.OrderRefundsView.as_view(), name="order_refunds"),
    path("order-refunds/<number:refund_no>", refunds.OrderRefundView.as_view(), name="order_refund"),
    path(
        "order-refunds/<number:refund_no>/cancel",
        refunds.CancelOrderRefundView.as_view(),
        name="cancel_order_refund",
    ),
    path("feedback", feedback.FeedbacksView.as_view(), name="feedback"),
    path("feedback/photos", feedback.FeedbackPhotosView.as_view(), name="feedback_photos"),
    path("feedback/<number:feedback_no>", feedback.FeedbackView.as_view(), name="one_feedback"),
    path("invoices", invoices.InvoicesView.as_view(), name="invoices"),
    path("invoices/<number:application_no>", invoices.InvoiceView.as_view(), name="invoice"),
    path(
        "invoices/<number:application_no>/cancel", invoices.CancelInvoiceView.as_view(), name="cancel_invoice"
    ),
    path("invoice-options", invoices.InvoiceOptionsView.as_view(), name="invoice_options"),
    path("invoice-orders", invoices.InvoiceOrdersView.as_view(), name="invoice_orders"),
    path("invoice-titles", invoices.TitlesView.as_view(), name="invoice_titles"),
    path("invoice-titles/<number:title_id>", invoices.TitleView.as_view(), name="invoice_title"),
    path(
        "invoice-titles/<number:title_id>/remove",
        invoices.RemoveTitleView.as_view(),
        name="remove_invoice_title",
    ),
    path("wallet", wallet.WalletView.as_view(), name="wallet"),
    path("wallet/statement", wallet.StatementView.as_view(), name="statement"),
    path("wallet/recharge-options", wallet.RechargeOptionsView.as_view(), name="recharge_options"),
    path("wallet/recharges", wallet.RechargesView.as_view(), name="recharges"),
    path("wallet/recharges/<number:recharge_no>", wallet.RechargeView.as_view(), name="recharge"),
    path(
        "wallet/recharges/<number:recharge_no>/sandbox-pay",
        wallet.SandboxPayView.as_view(),
        name="sandbox_pay",
    ),
    path("wallet/refunds", refunds.RefundsView.as_view(), name="refunds"),
    path("wallet/refunds/<number:refund_no>", refunds.RefundView.as_view(), name="refund"),
    path(
        "wallet/refunds/<number:refund_no>/cancel", refunds.CancelRefundView.as_view(), name="cancel_refund"
    ),
    path(
        "schema/", SpectacularAPIView.as_view(authentication_classes=[], permission_classes=[]), name="schema"
    ),
    path(
        "docs/",
        SpectacularSwaggerView.as_view(
            url_name="miniapp:schema", authentication_classes=[], permission_classes=[]
        ),
        name="docs",
    ),
    re_path(r"^.*$", UnknownPathView.as_view()),
]
