"""The records that piles sent."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from apps.orders.enums import RecordState
from apps.orders.models.orders import Order
from apps.piles.reports import TransactionReport


class TransactionRecord(models.Model):
    """A record (交易记录) as a pile sent it: committed before 0x40, kept for ever.

    Written by the gateway's group commit with plain SQL, so every column has its value there. The first of a
    transaction number is settled; a repetition is the same row (`digest`); a differing one goes to quarantine.
    """

    transaction_no = models.CharField(_("transaction number"), max_length=32)
    pile_code = models.CharField(_("pile code"), max_length=14)
    connector_no = models.CharField(_("connector number"), max_length=2)
    connection_pile_code = models.CharField(
        _("sent by"), max_length=14, help_text=_("the pile that was logged in on the connection")
    )
    protocol = models.CharField(_("protocol"), max_length=16)
    frame_type = models.PositiveSmallIntegerField(_("frame type"))
    body = models.BinaryField(_("raw bytes"))
    digest = models.CharField(_("digest"), max_length=64)
    report = models.JSONField(
        _("decoded"),
        null=True,
        blank=True,
        help_text=_("piles.reports.TransactionReport; empty if undecodable"),
    )
    received_at = models.DateTimeField(_("received at"))
    times_received = models.PositiveIntegerField(_("times received"), default=1)
    state = models.CharField(_("state"), max_length=16, choices=RecordState, default=RecordState.STORED)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="records",
        verbose_name=_("order"),
    )
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)
    # The database fills these in for gateways of an older release, which write this table in plain SQL.
    decided_by = models.CharField(_("decided by"), max_length=100, blank=True, db_default="")
    decision = models.CharField(_("decision"), max_length=200, blank=True, db_default="")

    class Meta:
        permissions = [("decide_record", _("Can match or reject quarantined records"))]
        verbose_name = _("transaction record")
        verbose_name_plural = _("transaction records")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["transaction_no", "pile_code", "connector_no", "digest"], name="record_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["received_at"], condition=Q(state=RecordState.STORED), name="record_waiting"
            ),
            models.Index(
                fields=["received_at"], condition=Q(state=RecordState.QUARANTINED), name="record_quarantined"
            ),
            models.Index(fields=["pile_code", "id"], name="record_of_pile"),
            # A day's records: rows come in the order of this column, so a few pages hold the whole index.
            BrinIndex(fields=["received_at"], name="record_received", autosummarize=True),
        ]

    def __str__(self) -> str:
        return self.transaction_no

    @cached_property
    def decoded(self) -> TransactionReport:
        """The record in domain words, read once; only for one that is decodable (`report`), which never changes."""
        return TransactionReport.from_json(self.report)  # type: ignore[arg-type]
