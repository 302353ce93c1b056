from django.utils.translation import gettext_lazy as _

from apps.common.errors import DomainError, NotFound


class FileNotFound(NotFound):
    code = "files.not_found"
    message = _("There is no such file.")


class FileTooLarge(DomainError):
    code = "files.too_large"
    message = _("The file is too large: %(limit_mb)s MB are allowed. Make it smaller and try again.")
    status = 413


class FileEmpty(DomainError):
    code = "files.empty"
    message = _("The file is empty.")


class FileTypeRefused(DomainError):
    code = "files.type_refused"
    message = _("This kind of file cannot be used here. Allowed are: %(allowed)s.")
    status = 415


class PictureBroken(DomainError):
    code = "files.picture_broken"
    message = _("The picture is damaged or has too many pixels. Save it anew as JPEG or PNG and try again.")


class TicketInvalid(DomainError):
    code = "files.ticket_invalid"
    message = _("This upload is no longer allowed. Start it again.")
    status = 403


class TooManyUploads(DomainError):
    code = "files.too_many_uploads"
    message = _("Too many files were uploaded within a day. Try again tomorrow.")
    status = 429


class UploadMissing(DomainError):
    code = "files.upload_missing"
    message = _("The file has not arrived. Upload it again.")
    status = 409


class TooManyExports(DomainError):
    code = "exports.too_many"
    message = _("%(limit)s of your exports are still running. Wait for one of them to finish.")
    status = 409


class TooManyRows(DomainError):
    code = "exports.too_many_rows"
    message = _(
        "The list has %(rows)s rows; a file holds at most %(limit)s. Narrow the filter and export again."
    )


class ExportRefused(DomainError):
    code = "exports.refused"
    message = _("You may no longer export this list.")
    status = 403


class FilterInvalid(DomainError):
    code = "exports.filter_invalid"
    message = _("The list cannot be filtered like this. Reset the filters and try again.")


class ExportBroken(DomainError):
    code = "exports.broken"
    message = _("Something went wrong. Start the export again.")
