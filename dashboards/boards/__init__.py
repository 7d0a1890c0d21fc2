"""The dashboards, each in a file that reads as its table of contents."""

from collections.abc import Sequence

from dashboards.boards.cameras import CAMERAS
from dashboards.boards.devices import DEVICES
from dashboards.boards.map import MAP
from dashboards.boards.operations import OPERATIONS
from dashboards.boards.plan import PLAN
from dashboards.boards.platform import PLATFORM
from dashboards.boards.room import ROOM
from dashboards.boards.rural import RURAL
from dashboards.boards.texts import TEXTS
from dashboards.builder import Board

BOARDS: Sequence[Board] = (ROOM, MAP, CAMERAS, DEVICES, RURAL, TEXTS, OPERATIONS, PLAN, PLATFORM)
