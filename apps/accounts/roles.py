"""The roles that every back office starts with: one table, by which new tenants are given theirs.

A tenant may change them all but the administrator's. Giving them again (a new version, `manage.py roles`) adds
what is new in the table and takes away what left it; what the tenant added or took away itself stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.utils import translation
from django.utils.translation import pgettext_lazy

from apps.accounts.errors import UnknownRole
from apps.accounts.models import StandardRole
from apps.accounts.permissions import grantable, meaningful, name_of
from apps.backoffice.audit import record
from apps.backoffice.sites import platform_site, tenant_site
from apps.common.ids import SYSTEM
from apps.common.schema import in_public

_ROLE_WORK = 7_203_379  # any number that no other advisory lock of ours has
ADMINISTRATOR = "administrator"
FRANCHISEE = "franchisee"


@dataclass(frozen=True)
class Role:
    """A role: `grants` are patterns of "app.codename"; one that begins with "!" takes away again."""

    code: str
    name: Any
    grants: Sequence[str]
    on_platform: bool = False
    in_tenants: bool = True

    def has(self, permission: str) -> bool:
        """Return whether the role has a permission: the last pattern that fits decides."""
        found = False
        for pattern in self.grants:
            if fnmatchcase(permission, pattern.removeprefix("!")):
                found = not pattern.startswith("!")
        return found


# Nobody but administrators sees staff, and who may only look sees no secrets.
LOOKING = (
    "*.view_*",
    "!accounts.*",
    "!auth.*",
    "!customers.view_phone",
    "!piles.view_frame_secrets",
    "!tenancy.*",
)
MACHINES = (
    "sites.view_station",
    "piles.view_pile",
    "piles.view_connector",
    "piles.view_alarm",
    "piles.view_pilecommand",
    "piles.view_commandbatch",
)

ROLES = (
    Role(ADMINISTRATOR, pgettext_lazy("role", "administrator"), ("*",), on_platform=True),
    Role(
        "operations",
        pgettext_lazy("role", "operations"),
        (
            *LOOKING,
            "!backoffice.view_auditentry",
            "backoffice.share_savedfilter",
            "!wallet.view_merchantaccount",
            "sites.*",
            "piles.add_pile",
            "piles.change_pile",
            "piles.move_pile",
            "piles.retire_pile",
            "piles.*_alarm",
            "piles.*_alarmrule",
            "piles.*_notificationrule",
            "!notifications.view_smsaccount",
            "!notifications.view_mailaccount",
            "piles.add_pilecommand",
            "piles.push_prices",
            "piles.set_qr",
            "pricing.*",
            "orders.*",
            "!orders.approve_abnormalorder",
            "!orders.review_orderrefund",
            "!orders.reconcile_energy",
            "!orders.change_billingpolicy",
            "customers.*",
            "!customers.set_pin",
            "!customers.*_miniprogram",
            "!customers.set_enterprise_account",
            "coupons.*",
            "marketing.*",
            "wallet.*_bonustier",
            "wallet.apply_walletrefund",
            "franchisees.*",
            "!franchisees.open_accounts",
        ),
    ),
    Role(
        "maintenance",
        pgettext_lazy("role", "maintenance"),
        (
            *MACHINES,
            "piles.*",
            "pricing.view_*",
            "!piles.view_frame_secrets",
            "orders.view_order",
            "orders.view_transactionrecord",
            "orders.stop_order",
            "orders.view_energyday",
            "orders.view_energydifference",
        ),
    ),
    Role(
        "finance",
        pgettext_lazy("role", "finance"),
        (
            *LOOKING,
            "backoffice.share_savedfilter",
            "wallet.*",
            "!wallet.add_merchantaccount",
            "!wallet.change_merchantaccount",
            "!wallet.switch_merchantaccount",
            "!wallet.change_walletpolicy",
            "orders.apply_orderrefund",
            "orders.review_orderrefund",
            "orders.approve_abnormalorder",
            "orders.reconcile_energy",
            "customers.set_enterprise_account",
            "invoices.*",
            "reports.*",
        ),
    ),
    Role(
        "support",
        pgettext_lazy("role", "customer service"),
        (
            *MACHINES,
            "piles.view_offeredpile",
            "pricing.view_retailprice",
            "orders.view_*",
            "!orders.view_energy*",
            "orders.start_order",
            "orders.stop_order",
            "orders.apply_orderrefund",
            "customers.*",
            "!customers.*_enterprise",
            "!customers.set_enterprise_account",
            "customers.view_enterprise",
            "!customers.*_miniprogram",
            "!customers.*_agreement",
            "customers.view_agreement",
            "!customers.*_driverappsettings",
            "invoices.view_invoiceapplication",
            "invoices.apply_invoiceapplication",
            "coupons.view_*",
            "marketing.view_activity",
            "coupons.give_coupon",
            "wallet.view_wallet",
            "wallet.view_recharge",
            "wallet.view_hold",
            "wallet.view_debt",
            "wallet.view_walletrefund*",
            "wallet.query_recharge",
            "wallet.apply_walletrefund",
        ),
    ),
    # People of a franchisee see its stations, and drivers masked; apps.accounts.outsiders says how much at most.
    Role(
        FRANCHISEE,
        pgettext_lazy("role", "franchisee"),
        (
            "sites.view_station",
            "piles.view_pile",
            "piles.view_connector",
            "piles.view_alarm",
            "piles.view_pilecommand",
            "piles.view_commandbatch",
            "piles.add_pilecommand",
            "piles.reboot_pile",
            "orders.view_order",
            "orders.stop_order",
            "reports.view_financereport",
        ),
    ),
    Role("readonly", pgettext_lazy("role", "read only"), (*LOOKING, "tenancy.view_*"), on_platform=True),
    # The platform's own: who runs tenants, and who helps them.
    Role(
        "tenants",
        pgettext_lazy("role", "tenant operations"),
        (*LOOKING, "tenancy.*", "!tenancy.*_supportsession", "!tenancy.close_tenant"),
        on_platform=True,
        in_tenants=False,
    ),
    Role(
        "helpdesk",
        pgettext_lazy("role", "tenant support"),
        (*LOOKING, "tenancy.view_*", "tenancy.add_supportsession", "tenancy.test_tenant"),
        on_platform=True,
        in_tenants=False,
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one role: `created`, `changed`, `unchanged`, `adopted` (the tenant had one of that name, which
    stays as it is) or `removed` (the tenant deleted it; it comes back with reset)."""

    code: str
    name: str
    result: str
    added: list[str]
    taken: list[str]
    members: int


def roles_here() -> list[Role]:
    """Return the roles of the current schema's back office."""
    return [role for role in ROLES if (role.on_platform if in_public() else role.in_tenants)]


def give_roles(
    *, reset: bool = False, only: Iterable[str] = (), dry_run: bool = False, quietly: bool = False
) -> list[Outcome]:
    """Give the current schema its standard roles; idempotent, keeps what the tenant changed unless `reset`.

    `only` names roles by code. With `dry_run` nothing is written; with `quietly` nothing goes to the audit log (a new
    tenant's first roles are nobody's deed). Raises UnknownRole.
    """
    known = {role.code for role in ROLES}
    wanted = set(only) or known
    for code in sorted(wanted - known):
        raise UnknownRole(role=code, known=", ".join(sorted(known)))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_ROLE_WORK])
        given = {name_of(one): one for one in grantable()}
        outcomes = [_give(role, given, reset=reset) for role in roles_here() if role.code in wanted]
        if not dry_run and not quietly:
            for outcome in outcomes:
                if outcome.added or outcome.taken or outcome.result == "created":
                    _write(outcome)
        if dry_run:
            transaction.set_rollback(True)
    return outcomes


def renew_roles() -> list[Outcome]:
    """Give the current schema's roles what this version adds; one question where nothing is new."""
    here = {role.code: role for role in roles_here()}
    site = platform_site if in_public() else tenant_site
    known = meaningful(site)
    rows = dict(StandardRole.objects.values_list("code", "given"))
    wanted = {code: sorted(name for name in known if role.has(name)) for code, role in here.items()}
    return give_roles(quietly=not rows) if rows != wanted else []


def _give(role: Role, given: dict[str, Permission], *, reset: bool) -> Outcome:
    table = {name for name in given if role.has(name)}
    row = StandardRole.objects.select_related("group").filter(code=role.code).first()
    if row is None or (row.group is None and reset):
        group, created = _group_for(role)
        row, _made = StandardRole.objects.get_or_create(code=role.code)
        row.group = group
        before: set[str] = set() if created or reset or role.code == ADMINISTRATOR else table
        result = "created" if created else "adopted"
    elif row.group is None:
        return Outcome(role.code, _name(role), "removed", [], [], 0)
    else:
        group, before, result = row.group, set(row.given), "unchanged"
    has = {name_of(one): one for one in group.permissions.select_related("content_type")}
    if reset or role.code == ADMINISTRATOR:
        added, taken = table - set(has), set(has) - table
    else:
        added, taken = (table - before) - set(has), (before - table) & set(has)
    group.permissions.add(*(given[name] for name in added))
    group.permissions.remove(*(has[name] for name in taken))
    row.given = sorted(table)
    row.save()
    if result == "unchanged" and (added or taken):
        result = "changed"
    members = group.user_set.count()  # type: ignore[attr-defined]
    return Outcome(role.code, group.name, result, sorted(added), sorted(taken), members)


def _group_for(role: Role) -> tuple[Group, bool]:
    """The group of the role's name; one that is another standard role's under a new name is left to that."""
    name = _name(role)
    while StandardRole.objects.filter(group__name=name).exists():
        name += "*"
    return Group.objects.get_or_create(name=name)


def _name(role: Role) -> str:
    with translation.override(settings.LANGUAGE_CODE):
        return str(role.name)


def _write(outcome: Outcome) -> None:
    group = Group.objects.filter(standard__code=outcome.code).first()
    deed = "added" if outcome.result == "created" else "changed"
    changes = {"permissions": [outcome.taken, outcome.added], "name": [None, outcome.name]}
    if deed == "changed":
        del changes["name"]
    record(SYSTEM, f"auth.group_{deed}", group, changes=changes)
