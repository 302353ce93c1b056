"""Activities are the company's: who has the permission sees them all."""

from apps.backoffice import scope
from apps.marketing.models import Activity

scope.by_permission(Activity)
