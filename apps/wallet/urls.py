"""URLs of payment notices, on the platform's site and on each tenant's."""

from django.urls import path

from apps.wallet.views import payment_notice

urlpatterns = [
    path("notices/<slug:code>/<slug:channel>/<int:merchant_id>/", payment_notice, name="payment_notice")
]
