"""The tenant's mini-programs: by which of them drivers sign in, and whether their credentials work."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.customers import alipay, wechat
from apps.customers.errors import ProviderBusy, ProviderRefused, SignInOff
from apps.customers.models import IdentityProvider, MiniProgram
from apps.tenancy.connections import Outcome

CAUSES = {
    "40013": _("WeChat does not know this app id"),
    "40125": _("the AppSecret is not that of the app"),
    "isv.invalid-app-id": _("Alipay does not know this app id"),
    "isv.invalid-signature": _(
        "the private key does not belong to the public key that Alipay has of the app"
    ),
    "signature": _("the answer is not signed with the key that is stored here"),
    "private_key": _("the private key cannot be read"),
    "timeout": _("no answer in time"),
    "connection": _("no connection"),
}
"""What a test found, in words; every other cause is the provider's own code."""


def of_provider(provider: str) -> MiniProgram:
    """Return the mini-program by which drivers sign in at a provider. Raises SignInOff."""
    found = MiniProgram.objects.filter(provider=provider, is_active=True).first()
    if found is None:
        known = dict(IdentityProvider.choices)
        raise SignInOff(provider=known.get(provider, provider[:16]))
    return found


def check_connection(mini: MiniProgram) -> Outcome:
    """Ask the provider whether it knows the app by its secret. One HTTP call; never inside a transaction."""
    if mini.provider == IdentityProvider.ALIPAY:
        cause = alipay.is_right(mini)
    else:
        cause = ""
        try:
            wechat.server_token(mini)
        except (ProviderRefused, ProviderBusy) as error:
            cause = error.reason
    return Outcome(not cause, str(CAUSES.get(cause, cause)))
