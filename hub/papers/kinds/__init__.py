"""The documents that can be made, each in its own file."""

from collections.abc import Mapping

from hub.papers.desk import Kind
from hub.papers.kinds.account import ACCOUNT
from hub.papers.kinds.acta import ACTA
from hub.papers.kinds.month import MONTH
from hub.papers.kinds.permits import PERMITS_REPORT
from hub.papers.kinds.sitting import SITTING
from hub.papers.kinds.stop import STOP

KINDS: Mapping[str, Kind] = {kind.id: kind for kind in (STOP, MONTH, PERMITS_REPORT, ACCOUNT, ACTA, SITTING)}
