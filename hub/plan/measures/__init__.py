"""The named measures: each one SQL query with its doc, its source and what it leaves out."""

from hub.plan.measures.alerts import ALERTS
from hub.plan.measures.equipment import CAMERAS, DEVICES, FAILURES
from hub.plan.measures.happenings import EVENTS, REPEATS
from hub.plan.measures.operations import INSPECTIONS, OPERATIONS, POINTS
from hub.plan.measures.people import ACTIVITIES, LOCALITIES, RECIPIENTS, SECTORS
from hub.plan.measures.registers import AGREEMENTS, PROJECTS, REFERRALS, REQUESTS, SESSIONS
from hub.plan.vocabulary import Vocabulary

_ALL = (
    *(ALERTS, EVENTS, REPEATS, CAMERAS, DEVICES, FAILURES),
    *(SECTORS, LOCALITIES, RECIPIENTS, ACTIVITIES),
    *(OPERATIONS, INSPECTIONS, POINTS),
    *(REFERRALS, SESSIONS, AGREEMENTS, REQUESTS, PROJECTS),
)

VOCABULARY: Vocabulary = {measure.name: measure for measure in _ALL}
